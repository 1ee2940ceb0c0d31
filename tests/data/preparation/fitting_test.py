import functools

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import fields, formats
from afm_jax.data.fields.bucket_log2 import log2_buckets
from afm_jax.data.fields.dense import signed_log1p
from afm_jax.data.formats import csv, sources
from afm_jax.data.preparation import fitting, spill, splits
from afm_jax.data.store import vocabularies
from afm_jax.errors import InputError
from afm_jax.features import Rows

OPTIONS = {
    **{option.name: option.default for option in fields.options()},
    "buckets": 4,
    "label": "y",
    "categorical": ("c",),
    "numeric": ("n", "k"),
    "multi_valued": ("m",),
    "separator": "|",
    "time": None,
}


def table(rng, rows):
    genres = ["", "g", "g|h", "h|i|g", "j"]
    words = rng.zipf(1.5, rows) % 40
    return pl.DataFrame(
        {
            "y": rng.integers(0, 2, rows),
            "c": [f"w{word}" if word else "" for word in words],
            "n": [None if x < -1 else round(x, 3) for x in rng.normal(size=rows) * 9],
            "k": rng.integers(-2, 2000, rows),
            "m": rng.choice(genres, rows, p=[0.2, 0.3, 0.3, 0.1, 0.1]),
            "t": rng.permutation(rows),
        }
    )


def read(files, options, tmp_path):
    """The rows of the files as codes, and what each column becomes."""
    reader = csv.open_reader([file.path for file in files], options)
    chosen = fields.choose(reader.layout, options)
    prepare = functools.partial(fields.prepare, layout=reader.layout, chosen=chosen)
    coders = fields.coders(chosen)
    folder = tmp_path / "scratch"
    return spill.spill(files, reader, folder, prepare, coders=coders), chosen


def prepared(
    tmp_path,
    how,
    numeric_as=("k:bucket_log2",),
    min_count=2,
    **options,
):
    """Schema-like encoding, and the rows of each split, of the CSV files in a folder."""
    files = sources.find(tmp_path / "raw", to_split=how is not None)
    given = {**OPTIONS, "numeric_as": numeric_as, "min_count": min_count, **options}
    spilled, chosen = read(files, given, tmp_path)
    assigned = splits.assign(spilled, how, (0.7, 0.2, 0.1), 5)
    fitted = fitting.fit(spilled, assigned, chosen, given)
    found = {}
    for block in fitting.encode(spilled, assigned, fitted):
        found.setdefault(block.split, []).append(block.rows)
    return fitted, {split: Rows.concatenate(parts) for split, parts in found.items()}


def write(tmp_path, **tables):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, rows in tables.items():
        rows.write_csv(folder / f"{name}.csv")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setitem(csv.text.chunks.__kwdefaults__, "chunk_bytes", 500)


def by_hand(train, rows):
    """The features of rows, straight from the definition, one row at a time."""
    log = [signed_log1p(np.array(x)) for x in train["n"] if x is not None]
    mean, std = np.mean(log), np.std(log)

    def vocabulary(values, min_count=2):
        values = list(values)
        kept = [value for value in set(values) if values.count(value) >= min_count]
        order = sorted(kept, key=lambda value: (-values.count(value), str(value)))
        return {value: 2 + index for index, value in enumerate(order)}

    buckets = log2_buckets(np.array(train["k"], float)).astype(int)
    k = vocabulary(buckets.tolist())
    c = vocabulary(x for x in train["c"] if x)
    m = vocabulary(x for items in train["m"] for x in items.split("|") if x)
    at_c = 2 + len(k)
    at_m = at_c + 2 + len(c)
    for row in rows.iter_rows(named=True):
        bucket = int(log2_buckets(np.array(float(row["k"]))))
        items = [at_m + m.get(item, 1) for item in row["m"].split("|") if item]
        ids = [k.get(bucket, 1), at_c + (c.get(row["c"], 1) if row["c"] else 0)]
        values = [1, 1, *([1] * len(items) or [1])]
        items = (items + [at_m] * 3)[:3]
        dense = 0 if row["n"] is None else signed_log1p(np.array(row["n"]))
        dense = min(max(dense, min(log)), max(log))
        dense = [0 if row["n"] is None else (dense - mean) / std, row["n"] is None]
        yield [*ids, *items], (values + [0] * 3)[:5], dense, row["y"]


def assert_rows(found, expected):
    ids, values, dense, labels = zip(*expected, strict=True)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_allclose(found.dense, dense, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.labels, labels)


def test_rows_of_given_splits_are_the_definition_row_by_row(tmp_path):
    rng = np.random.default_rng(1)
    train, validation, test = (table(rng, rows) for rows in (300, 80, 50))
    write(tmp_path, test=test, train=train, valid=validation)
    fitted, found = prepared(tmp_path, None)
    assert [field.name for field in fitted.fields] == ["k", "c", "m"]
    assert fitted.fields[2].slots == 3
    for split, rows in (("train", train), ("validation", validation), ("test", test)):
        assert_rows(found[split], by_hand(train, rows))


def test_nothing_past_the_training_split_changes_the_encoding(tmp_path):
    rng = np.random.default_rng(2)
    train, validation = table(rng, 300), table(rng, 80)
    write(tmp_path, train=train, val=validation)
    strange = validation.with_columns(
        k=pl.lit(10**9), c=pl.lit("new"), n=pl.lit(1e9), m=pl.lit("q|r|s|t|u|v")
    )
    fitted, found = prepared(tmp_path, None)
    strange.write_csv(tmp_path / "raw" / "val.csv")
    again, refound = prepared(tmp_path, None)
    assert again.fields == fitted.fields
    assert again.dense == fitted.dense
    np.testing.assert_array_equal(refound["train"].ids, found["train"].ids)
    offsets = [field.offset for field in again.fields]
    assert (
        refound["validation"].ids == [*np.add(offsets, 1), *[offsets[2] + 1] * 2]
    ).all()
    # A number beyond those of the training rows counts as the largest of them.
    largest = found["train"].dense[:, 0].max()
    np.testing.assert_array_equal(refound["validation"].dense[:, 0], largest)


def test_rows_keep_their_number_in_the_source(tmp_path):
    rows = table(np.random.default_rng(3), 401)
    write(tmp_path, rows=rows)
    _, found = prepared(tmp_path, "random")
    every = Rows.concatenate(list(found.values()))
    assert sorted(every.numbers) == list(range(401))
    for part in found.values():
        np.testing.assert_array_equal(part.labels, rows["y"].to_numpy()[part.numbers])


def test_values_without_an_id_have_numbers_that_tell_them_apart(tmp_path):
    rng = np.random.default_rng(1)
    train, validation = table(rng, 300), table(rng, 80)
    write(tmp_path, train=train, val=validation)
    files = sources.find(tmp_path / "raw", to_split=False)
    given = {**OPTIONS, "min_count": 9}
    spilled, chosen = read(files, given, tmp_path)
    assigned = splits.assign(spilled, None, None, None)
    fitted = fitting.fit(spilled, assigned, chosen, given)
    others = vocabularies.others(fitted.vocabularies).filter(field="c")["value"]
    raw = {"train": train["c"], "validation": validation["c"]}
    seen = 0
    for split, rows, unseen, _ in fitting.encode(spilled, assigned, fitted):
        for row, number in unseen[0]:
            assert rows.ids[row, 0] == 1
            value = others[int(number) - fitted.fields[0].vocab_size]
            assert (
                value == raw[split][int(rows.numbers[row]) - (split != "train") * 300]
            )
        seen += len(unseen[0])
        assert len(unseen[0]) == np.count_nonzero(rows.ids[:, 0] == 1)
    assert seen > 20


@pytest.mark.parametrize("how", ["random", "time"])
def test_a_split_of_one_file_is_exact_and_fitted_on_its_training_rows(tmp_path, how):
    rows = table(np.random.default_rng(3), 401)
    write(tmp_path, rows=rows)
    _, found = prepared(tmp_path, how, time="t")
    counts = {split: len(part.labels) for split, part in found.items()}
    assert counts == {"train": 281, "validation": 80, "test": 40}
    if how == "time":
        place = rows["t"].to_numpy()
    else:
        place = splits.random_positions(0, 401, 401, 5)
    parts = {
        "train": rows.filter(place < 281),
        "validation": rows.filter((place >= 281) & (place < 361)),
        "test": rows.filter(place >= 361),
    }
    for split, part in parts.items():
        assert_rows(found[split], by_hand(parts["train"], part))


def test_the_order_in_which_threads_meet_words_does_not_matter(tmp_path):
    write(tmp_path, rows=table(np.random.default_rng(4), 400))
    first, found = prepared(tmp_path, "random")
    for _ in range(3):
        again, refound = prepared(tmp_path, "random")
        assert again.fields == first.fields
        np.testing.assert_array_equal(refound["test"].ids, found["test"].ids)


def test_rows_have_no_values_where_all_are_1_and_fields_have_one_slot(tmp_path):
    write(tmp_path, rows=table(np.random.default_rng(5), 90))
    fitted, found = prepared(tmp_path, "random", multi_valued=("c",), categorical=())
    assert [field.slots for field in fitted.fields] == [1, 1]
    assert all(rows.values is None for rows in found.values())


def test_vocabularies_come_back_from_their_file(tmp_path):
    write(tmp_path, rows=table(np.random.default_rng(6), 400))
    numeric_as = ("k:bucket_log2", "n:bucket_quantile")
    fitted, _ = prepared(tmp_path, "random", numeric_as)
    path = tmp_path / "saved"
    vocabularies.Vocabularies(fitted.vocabularies).save(path)
    read = vocabularies.Vocabularies(file=path).tables()
    assert list(read) == ["k", "c", "m"]
    for field in fitted.fields:
        if field.name in read:
            assert field.vocab_size == 2 + len(read[field.name].values)
            assert field.vocabulary_crc32 == read[field.name].crc32


def test_a_time_split_needs_times(tmp_path):
    write(tmp_path, rows=table(np.random.default_rng(7), 50))
    with pytest.raises(InputError, match="give --time=COLUMN"):
        prepared(tmp_path, "time")


def test_files_in_time_order_are_split_in_their_order():
    layout = formats.Layout("", (), order=formats.FILE)
    blocks = [spill.Stored(None, rows, None, None) for rows in (5, 2, 3)]
    spilled = spill.Spill(layout, blocks, {}, {}, {}, False)
    assigned = splits.assign(spilled, "time", (0.6, 0.2, 0.2), 0)
    assert [part.tolist() for part in assigned] == [[0] * 5, [0, 1], [1, 2, 2]]
