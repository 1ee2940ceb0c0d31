"""New rows get the bytes that they would have had beside the old training rows."""

import shutil

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import prepare_frames
from afm_jax.data.preparation import builder, raw_builder
from afm_jax.data.store import writer
from afm_jax.data.store.folders import store_folder
from afm_jax.data.store.reader import map_store, open_store
from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.errors import InputError
from afm_jax.features import FIRST, UNSEEN

OPTIONS = {
    "label": "y",
    "positive": "yes",
    "weight": "w",
    "categorical": ("c", "h"),
    "numeric": ("k", "n", "q", "z"),
    "multi_valued": ("m", "one"),
    "separator": ";",
    "time": "t",
    "time_fields": ("hour",),
    "time_unit": "s",
    "min_count": 2,
    "numeric_as": ("k:bucket_log2", "q:bucket_quantile", "z:min_max"),
    "buckets": 5,
    "hash_buckets": ("h:7",),
    "max_slots": ("m:2",),
    "na_values": ("w3",),
}
"""Every kind of field, and every option that says what a value means."""


def table(seed, rows=80):
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(3, rows)).round(3)
    return pl.DataFrame(
        {
            "y": rng.choice(["yes", "no", "maybe"], rows),
            "w": rng.choice([0.0, 0.5, 2.0], rows),
            "c": [f"w{word}" if word else None for word in rng.zipf(1.3, rows) % 60],
            "h": rng.integers(0, 99, rows),
            "n": [None if x < -1 else x for x in numbers[0].tolist()],
            "k": rng.integers(-2, 2000, rows),
            "q": numbers[1],
            "z": [None if x > 1 else x for x in numbers[2].tolist()],
            "m": rng.choice(["", "g", "g;h", "h;i;g", f"j{seed};g"], rows),
            "one": rng.choice(["", "a", "b", f"c{seed}"], rows),
            "t": rng.integers(0, 10**9, rows),
        }
    )


def write(path, frame):
    path.parent.mkdir(exist_ok=True)
    frame.write_csv(path)
    return path.parent


def build(source, data_dir, **options):
    """The folder of the store of a source."""
    builder.build(
        raw_builder.CsvBuilder, data_dir=data_dir, source=source, options=options
    )
    return store_folder(data_dir, "csv")


def arrays(folder, split):
    """The bytes of the arrays of a split, but those that tell rows of which source."""
    return {
        path.name: path.read_bytes()
        for path in folder.glob(f"{split}.*.npy")
        if path.name != f"{split}.numbers.npy"
    }


def old_store(folder, seed, split):
    """Made of training rows and those of another split; the folder of the latter."""
    write(folder / "old" / "train.csv", table(seed))
    write(folder / "old" / f"{split}.csv", table(1000 + seed))
    if split == "test":
        write(folder / "old" / "validation.csv", table(2000 + seed))
    new = write(folder / "new" / f"{split}.csv", table(1000 + seed))
    return build(folder / "old", folder / "data", **OPTIONS), new


@pytest.mark.parametrize("seed", range(6))
def test_rows_of_a_split_get_the_bytes_that_they_have_beside_training_rows(
    seed, tmp_path
):
    split = ("validation", "test")[seed % 2]
    old, source = old_store(tmp_path, seed, split)
    new = build(source, tmp_path / "day_2", like=old.parent)
    expected = arrays(old, split)
    assert len(expected) > 5
    assert arrays(new, split) == expected
    before, after = map_store(old), map_store(new)
    assert dict(after.schema.rows) == {split: before.schema.rows[split]}
    assert after.schema.difference(before.schema) is None
    assert after.schema.label_mean == before.schema.label_mean
    np.testing.assert_array_equal(after.counts, before.counts)
    for name in "vocabularies.parquet", "unseen.parquet":
        assert pl.read_parquet(new / name).equals(pl.read_parquet(old / name))
    # Rows are counted within their own source.
    first = after.splits[split].numbers
    assert set(np.diff([before.splits[split].numbers, first], axis=0)[0]) in (
        {0},
        {-80},
        {-160},
    )
    assert writer.verify(tmp_path / "day_2", "csv")["rows"] == after.schema.rows


def run_of(old, folder):
    """What a run keeps of its store."""
    folder.mkdir()
    for name in "schema.json", "vocabularies.parquet":
        shutil.copy(old / name, folder)
    return folder


@pytest.mark.parametrize("seed", range(2))
def test_a_run_gives_the_rows_of_its_store(seed, tmp_path):
    old, source = old_store(tmp_path, seed, "validation")
    new = build(source, tmp_path / "day_2", like=run_of(old, tmp_path / "run"))
    expected, found = arrays(old, "validation"), arrays(new, "validation")
    assert found.keys() == expected.keys()
    for name in expected:
        assert "unseen" in name or found[name] == expected[name]
    for field in "c", "one":
        groups = [map_store(each).groups("validation", field) for each in (old, new)]
        # The same rows are of one group, whatever its number.
        pairs = {*zip(*(each.tolist() for each in groups), strict=True)}
        assert len(pairs) == len({*groups[0].tolist()}) == len({*groups[1].tolist()})


def test_frames_become_the_rows_that_files_become(tmp_path):
    frames = {"train": table(1), "validation": table(2)}
    old = prepare_frames(frames, **OPTIONS)
    for split, rows in old.splits.items():
        new = prepare_frames({split: frames[split]}, like=old)
        for name in "ids", "values", "dense", "labels", "weights":
            one, two = (getattr(each, name) for each in (new.splits[split], rows))
            np.testing.assert_array_equal(one, two)
        assert new.schema.difference(old.schema) is None
        for index, found in old.unseen[split].items():
            np.testing.assert_array_equal(new.unseen[split][index], found)
    alone = prepare_frames(table(2), like=old)
    assert list(alone.splits) == ["test"]
    parted = prepare_frames(table(2), like=old, split="random", seed=3)
    assert list(parted.splits) == ["train", "validation", "test"]


def test_values_that_are_met_first_on_day_2_are_unseen_and_told_apart():
    old = prepare_frames({"train": table(1), "validation": table(2)}, **OPTIONS)
    new = table(3).with_columns(pl.lit(1.0).alias("w"))
    new = new.with_columns(c=pl.Series(["x", "y", "x", "w1"] * 20))
    found = prepare_frames({"test": new}, like=old)
    slot = found.schema.slot("c")
    field = found.schema.fields[slot]  # the fields before it have one slot each
    ids = found.splits["test"].ids[:, slot]
    assert (ids.reshape(-1, 4)[:, :3] == field.offset + UNSEEN).all()
    groups = found.groups("test", "c").reshape(-1, 4)
    known = len(Vocabularies.complete(old.vocabularies)["c"].others)
    assert {*groups[:, 0]} == {*groups[:, 2]} == {field.vocab_size + known}
    assert {*groups[:, 1]} == {field.vocab_size + known + 1}
    assert FIRST <= groups[0, 3] < field.vocab_size
    again = prepare_frames({"test": new}, like=found)
    np.testing.assert_array_equal(again.groups("test", "c"), groups.ravel())


def test_training_rows_are_counted_with_the_former_ones(tmp_path):
    old, _ = old_store(tmp_path, 0, "validation")
    folder = tmp_path / "more"
    for name, seed in ("train", 7), ("validation", 8):
        write(folder / f"{name}.csv", table(seed))
    new = build(folder, tmp_path / "day_2", like=old.parent)
    store, alone = map_store(new), map_store(new)._replace(former_counts=None)
    counted = alone._replace(stored_counts=None).counts
    np.testing.assert_array_equal(store.counts, map_store(old).counts + counted)
    labels, weights = store.splits["train"].labels, store.splits["train"].weights
    mean = np.average(labels, weights=weights)
    assert store.schema.label_mean == pytest.approx(mean, rel=1e-6)
    writer.verify(tmp_path / "day_2", "csv")


def test_what_a_run_may_have_trained_is_not_untrained(tmp_path):
    old, source = old_store(tmp_path, 0, "validation")
    new = map_store(build(source, tmp_path / "n", like=run_of(old, tmp_path / "run")))
    counts = map_store(old).counts
    assert (new.counts[counts > 0] > 0).all()
    known = new.schema.fields[[f.name for f in new.schema.fields].index("c")]
    ids = slice(known.offset + FIRST, known.offset + known.vocab_size)
    np.testing.assert_array_equal(new.counts[ids], counts[ids])


def test_a_file_that_names_no_split_is_for_test_unless_it_is_to_be_split(tmp_path):
    old, _ = old_store(tmp_path, 0, "validation")
    write(tmp_path / "more" / "day2.csv", table(3))
    for source in tmp_path / "more", tmp_path / "more" / "day2.csv":
        found = map_store(build(source, tmp_path / source.name, like=old.parent))
        assert list(found.splits) == ["test"]
    parted = build(source, tmp_path / "s", like=old.parent, split="time")
    assert list(map_store(parted).splits) == ["train", "validation", "test"]
    named = write(tmp_path / "day3_train.csv", table(3)) / "day3_train.csv"
    found = map_store(build(named, tmp_path / "t", like=old.parent))
    assert list(found.splits) == ["train"]


DISAGREES = {
    "--min_count=3, but .* was prepared with 2": {"min_count": 3},
    "--categorical=c, but .* was prepared with c,h": {"categorical": ("c",)},
    "--delimiter=;, but .* was prepared without it": {"delimiter": ";"},
    "--positive=no, but .* was prepared with yes": {"positive": "no"},
    "--hash_buckets=h:8, but .* with h:7": {"hash_buckets": ["h:8"]},
    "--rows has no meaning for csv": {"rows": 7},
}


@pytest.mark.parametrize("message", DISAGREES)
def test_an_option_that_is_given_must_be_that_of_the_old_rows(message, tmp_path):
    old, source = old_store(tmp_path, 0, "validation")
    with pytest.raises(InputError, match=message) as found:
        build(source, tmp_path / "new", like=old.parent, **DISAGREES[message])
    assert "\n" not in str(found.value)
    same = {name: OPTIONS[name] for name in DISAGREES[message] if name in OPTIONS}
    build(source, tmp_path / "new", like=old.parent, **same)


def test_all_columns_are_those_that_they_were(tmp_path):
    rows = table(0).select("y", "c", "h")
    options = {"label": "y", "positive": "yes", "categorical": ("*",)}
    old = build(write(tmp_path / "old" / "a.csv", rows), tmp_path / "data", **options)
    more = rows.with_columns(c2=pl.lit("x"))
    source = write(tmp_path / "new" / "b.csv", more)
    new = build(source, tmp_path / "day_2", like=old.parent, categorical=["*"])
    assert map_store(new).schema.fields == map_store(old).schema.fields


def test_a_column_that_is_not_there_is_one_line(tmp_path):
    old, source = old_store(tmp_path, 0, "validation")
    write(source / "validation.csv", table(3).drop("q"))
    with pytest.raises(InputError, match=r"validation\.csv line 1 has no column 'q'"):
        build(source, tmp_path / "new", like=old.parent)


def test_rows_of_another_format_may_be_like_those_of_the_first(tmp_path):
    frames = {"train": table(1), "validation": table(2)}
    old = prepare_frames(frames, **OPTIONS)
    path = tmp_path / "test.parquet"
    table(2).write_parquet(path)
    builder.build(
        raw_builder.ParquetBuilder,
        data_dir=tmp_path,
        source=path,
        options={"like": old},
    )
    found = open_store(tmp_path, "parquet").splits["test"]
    for name in "ids", "values", "dense", "labels", "weights":
        expected = getattr(old.splits["validation"], name)
        np.testing.assert_array_equal(getattr(found, name), expected)


def test_fields_by_position_must_be_those_of_the_old_rows(tmp_path):
    def built(folder, lines, **options):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "r.libfm").write_text("\n".join(lines) + "\n")
        builder.build(
            raw_builder.LibfmBuilder,
            data_dir=tmp_path / f"{folder}.data",
            source=tmp_path / folder / "r.libfm",
            options=options,
        )
        return store_folder(tmp_path / f"{folder}.data", "libfm")

    old = built(
        "old", [f"{row % 2} {row % 5}:1 {9 + row % 2}:2.5" for row in range(40)]
    )
    new = built("new", ["1 0:1 9:1", "0 77:1 10:1"], like=old.parent)
    rows = map_store(new).splits["test"]
    assert rows.values.tolist() == [[1, 1], [1, 1]]  # as the old rows had values
    assert rows.ids[1, 0] == UNSEEN
    with pytest.raises(InputError, match=r"no column 'field_1', which"):
        built("narrow", ["1 0:1", "0 1:1"], like=old.parent)


def test_what_is_no_store_and_no_run_is_told(tmp_path):
    old, source = old_store(tmp_path, 0, "validation")
    for like, told in (
        (tmp_path, "expected the folder of a store"),
        (tmp_path / "none", "expected the folder of a store"),
        (old.parent.parent, "holds the stores csv: name one of them"),
    ):
        with pytest.raises(InputError, match=told):
            build(source, tmp_path / "new", like=like)
    synthetic = run_of(old, tmp_path / "run")
    (synthetic / "vocabularies.parquet").unlink()
    with pytest.raises(InputError, match="vocabulary of field 'k' is not known"):
        build(source, tmp_path / "new", like=synthetic)
