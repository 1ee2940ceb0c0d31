"""Data in memory: the same store as of files, from frames of any library."""

import functools

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")
pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import prepare_frames, store_of_ids
from afm_jax.data.formats import frames as readers
from afm_jax.data.preparation import builder, raw_builder
from afm_jax.data.preparation.encoding import FrameEncoder
from afm_jax.data.store.reader import Store, open_store
from afm_jax.data.store.vocabularies import NO_VOCABULARIES
from afm_jax.errors import InputError
from afm_jax.features import FIRST, MISSING, UNSEEN, Rows

COLUMNS = {
    "label": "y",
    "categorical": ("c", "h"),
    "numeric": ("k", "n", "q", "z"),
    "multi_valued": ("m",),
}
OPTIONS = {
    "min_count": 2,
    "numeric_as": ("k:bucket_log2", "q:bucket_quantile", "z:min_max"),
    "buckets": 5,
    "hash_buckets": ("h:7",),
}


def table(seed, rows):
    rng = np.random.default_rng(seed)
    words = rng.zipf(1.5, rows) % 40
    numbers = rng.normal(size=(3, rows)).round(3)
    return pl.DataFrame(
        {
            "y": rng.integers(0, 2, rows),
            "c": [f"w{word}" if word else None for word in words],
            "h": rng.integers(0, 99, rows),
            "n": [None if x < -1 else x for x in numbers[0].tolist()],
            "k": rng.integers(-2, 2000, rows),
            "q": numbers[1],
            "z": [None if x > 1 else x for x in numbers[2].tolist()],
            "m": rng.choice(["", "g", "g|h", "h|i|g", "j"], rows),
            "other": rng.normal(size=rows),
        }
    )


@functools.cache
def store() -> Store:
    frames = {"train": table(1, 500), "validation": table(2, 90), "test": table(3, 70)}
    return prepare_frames(frames, **COLUMNS, **OPTIONS)


def assert_same(found, expected):
    assert found.splits.keys() == expected.splits.keys()
    assert found.schema.fields == expected.schema.fields
    assert found.schema.dense == expected.schema.dense
    for split, rows in expected.splits.items():
        for one, two in zip(found.splits[split], rows, strict=True):
            np.testing.assert_array_equal(one, two)


def test_frames_become_the_store_that_files_become(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for seed, split, rows in (1, "train", 500), (2, "valid", 90), (3, "test", 70):
        table(seed, rows).write_parquet(folder / f"{split}.parquet")
    builder.build(
        raw_builder.ParquetBuilder,
        data_dir=tmp_path,
        source=folder,
        options={**COLUMNS, **OPTIONS},
    )
    written = open_store(tmp_path, "parquet")
    # The files stand in the order of their names: test, train, valid.
    in_order = {
        split: rows._replace(numbers=None) for split, rows in written.splits.items()
    }
    in_memory = {
        split: rows._replace(numbers=None) for split, rows in store().splits.items()
    }
    assert_same(store()._replace(splits=in_memory), written._replace(splits=in_order))
    np.testing.assert_array_equal(store().counts, written.counts)
    assert store().schema.label_mean == written.schema.label_mean
    for split in written.splits:
        for field in "c", "k":
            one, two = (each.groups(split, field) for each in (store(), written))
            np.testing.assert_array_equal(one, two)


def encoded(frame, made):
    encoder = FrameEncoder.load(made.schema, made.vocabularies)
    return encoder.rows(readers.select({"new": frame}, encoder.columns)["new"])


def test_rows_are_encoded_alike_whenever_they_come():
    for seed, split, rows in (1, "train", 500), (2, "validation", 90), (3, "test", 70):
        found = encoded(table(seed, rows).drop("y"), store())
        expected = store().splits[split]
        for name in "ids", "values", "dense":
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_the_encoder_of_a_written_store_is_that_of_its_columns(tmp_path):
    path = tmp_path / "rows.parquet"
    table(5, 300).write_parquet(path)
    builder.build(
        raw_builder.ParquetBuilder,
        data_dir=tmp_path,
        source=path,
        options={**COLUMNS, **OPTIONS, "max_slots": ("1",)},
    )
    written = open_store(tmp_path, "parquet")
    for rows in written.splits.values():
        found = encoded(table(5, 300)[rows.numbers], written)
        np.testing.assert_array_equal(found.ids, rows.ids)
        np.testing.assert_array_equal(found.dense, rows.dense)


def test_new_values_are_unseen_and_no_values_are_missing():
    new = {
        **{"c": ["never met", None, ""], "h": [10**9, None, None]},
        **{"k": [1.5e9, None, np.nan], "q": [99.0, None, np.nan]},
        **{"n": [1e9, None, np.nan], "z": [1e9, None, np.nan]},
        **{"m": ["x|y|z|g", None, ""]},
    }
    found = encoded(new, store())
    offset = {field.name: field.offset for field in store().schema.fields}
    slot = {name: store().schema.slot(name) for name in offset}
    for name in "c", "k", "m":
        assert found.ids[0, slot[name]] == offset[name] + UNSEEN
    for name in offset:
        assert (found.ids[1:, slot[name]] == offset[name] + MISSING).all()
    numbers = [column.name for column in store().schema.dense]
    assert found.dense[0, numbers.index("z")] == 1
    assert found.dense[1:, numbers.index("n")].tolist() == [0, 0]


def test_categories_that_na_values_name_are_missing_in_new_rows_too():
    frame = {"y": [1, 0] * 20, "c": ["a", "NA"] * 20, "n": [1.0, 2.0] * 20}
    columns = {"label": "y", "categorical": ["c"], "numeric": ["n"]}
    made = prepare_frames(frame, **columns, na_values="NA")
    (field,) = made.schema.fields
    assert list(made.vocabularies.tables()["c"].values) == ["a"]
    found = encoded({"c": ["NA", "a", "NULL"], "n": [1.0] * 3}, made)
    assert found.ids[:, 0].tolist() == [MISSING, FIRST, UNSEEN]
    assert field.offset == 0


def as_pandas(frame):
    pandas = pytest.importorskip("pandas", reason="needs the extra 'test'")
    return pandas.DataFrame(frame.to_dict(as_series=False))


LIBRARIES = {
    "lazy": lambda frame: frame.lazy(),
    "pandas": as_pandas,
    "pandas of categories": lambda frame: as_pandas(frame).astype(
        {"c": "category", "h": "Int64", "k": "int32"}
    ),
    "pyarrow": lambda frame: frame.to_arrow(),
    "arrays": lambda frame: {name: frame[name].to_numpy() for name in frame.columns},
    "lists": lambda frame: frame.to_dict(as_series=False),
    "categories": lambda frame: frame.with_columns(pl.col("c").cast(pl.Categorical)),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_of_any_library_become_the_same_store(library):
    if "pyarrow" in library:
        pytest.importorskip("pyarrow", reason="needs the extra 'test'")
    make = LIBRARIES[library]
    frames = {
        "train": make(table(1, 500)),
        "validation": make(table(2, 90)),
        "test": make(table(3, 70)),
    }
    assert_same(prepare_frames(frames, **COLUMNS, **OPTIONS), store())


def test_options_of_columns_may_be_mappings():
    frames = {"train": table(1, 500), "validation": table(2, 90), "test": table(3, 70)}
    given = OPTIONS | {
        "numeric_as": {"k": "bucket_log2", "q": "bucket_quantile", "z": "min_max"},
        "hash_buckets": {"h": 7},
    }
    found = prepare_frames(frames, **COLUMNS | {"multi_valued": {"m": "|"}}, **given)
    assert_same(found, store())


def test_every_multi_valued_column_has_its_own_separator():
    frame = {
        "y": [1, 0, 1, 0],
        "a": ["p q", "p", "q", ""],
        "b": ["u;v w", "u", "v w", "u"],
    }
    found = prepare_frames(
        {"train": frame, "validation": frame},
        label="y",
        multi_valued={"a": " ", "b": ";"},
    )
    values = {
        name: sorted(table.values)
        for name, table in found.vocabularies.tables().items()
    }
    assert values == {"a": ["p", "q"], "b": ["u", "v w"]}
    again = encoded({"a": ["q p"], "b": ["v w;x"]}, found)
    p, q = found.vocabularies.tables()["a"].values
    assert {p, q} == {"p", "q"}
    assert (again.ids[0, :2] >= 2).all()
    assert again.ids[0, 3] == found.schema.fields[1].offset + UNSEEN


def test_rows_of_one_frame_are_split_at_random_or_by_time():
    frame = table(1, 500).with_columns(t=pl.Series(np.arange(500)[::-1]))
    found = prepare_frames(frame, **COLUMNS, seed=3)
    assert dict(found.schema.rows) == {"train": 400, "validation": 50, "test": 50}
    later = prepare_frames(
        {"train": frame}, **COLUMNS, time="t", split="time", fractions=(0.6, 0.4)
    )
    assert sorted(later.splits["validation"].numbers) == list(range(200))
    held = prepare_frames({"train": frame, "test": table(2, 90)}, **COLUMNS)
    assert dict(held.schema.rows) == {"train": 450, "validation": 50, "test": 90}


GOOD = {"label": "y", "categorical": ["c"]}
WRONG = {
    "the frame has no column 'x'; it has 'y', 'c'": {"categorical": "x"},
    "Which columns are features? Give categorical": {"categorical": ()},
    "min_count=0, expected at least 1": {"min_count": 0},
    "mincount has no meaning for frames": {"mincount": 3},
    "hash_buckets=x:3: no categorical column 'x'": {"hash_buckets": {"x": 3}},
    "the frame row 1: c is 'u', expected 0 or 1, or a probability": {
        **{"label": "c", "categorical": "y"}
    },
    "time_fields needs time, the column of times": {"time_fields": "hour"},
    "categorical='*': other flags name": {"categorical": "*", "numeric": "c"},
    "positive=z: no row has this label; there are '0', '1'": {"positive": "z"},
}


@pytest.mark.parametrize("message", WRONG)
def test_mistakes_are_told_in_the_words_of_python(message):
    frame = {"y": [0, 1] * 9, "c": ["u", "v"] * 9}
    with pytest.raises(InputError) as found:
        prepare_frames(frame, **GOOD | WRONG[message])
    assert message in str(found.value)
    assert "--" not in str(found.value)
    assert "\n" not in str(found.value)


NO_FRAMES = {
    "the frame is int, expected a frame of polars": 5,
    "the frame: columns of different lengths: y 2, c 1": {"y": [0, 1], "c": ["u"]},
    "the frame: column 'c' has values of more than one type": {
        "y": [0, 1],
        "c": ["u", 1],
    },
    "'valid' holds a frame; expected frames for train, validation, test alone": {
        "train": {"y": [1, 0], "c": ["u", "v"]},
        "valid": {"y": [1, 0], "c": ["u", "v"]},
    },
    "There are frames for test, none for train": {"test": {"y": [1], "c": ["u"]}},
    "the frame row 2: y is None, expected 0 or 1": {
        "train": {"y": [1, None], "c": ["u", "v"]}
    },
    "the validation frame: column 'c' is of type Boolean, but in the train frame of type String": {
        "train": {"y": [1, 0], "c": ["u", "v"]},
        "validation": {"y": [1, 0], "c": [True, False]},
    },
}


@pytest.mark.parametrize("message", NO_FRAMES)
def test_frames_that_are_none_are_told(message):
    with pytest.raises(InputError) as found:
        prepare_frames(NO_FRAMES[message], **GOOD)
    assert message in str(found.value)


def test_ids_that_are_made_already_become_a_store():
    rng = np.random.default_rng(0)

    def rows(count):
        ids = rng.integers(0, [5, 9], (count, 2))
        return Rows(ids, None, rng.normal(size=(count, 3)), rng.integers(0, 2, count))

    splits = {"train": rows(40), "validation": rows(10)}
    found = store_of_ids(splits, vocab_sizes=(5, 9), names=("user", "item"))
    assert found.schema.vocab_size == 14
    expected = np.add(splits["validation"].ids, [0, 5])
    np.testing.assert_array_equal(found.splits["validation"].ids, expected)
    assert found.splits["train"].labels.dtype == np.float32
    assert found.counts.sum() == 80
    splits["validation"].ids[3, 1] = 9
    with pytest.raises(InputError, match=r"row 3 .*id 9 of field 'item'"):
        store_of_ids(splits, vocab_sizes=(5, 9), names=("user", "item"))
    with pytest.raises(InputError, match="no rows for the training split"):
        store_of_ids({"test": rows(3)}, vocab_sizes=(5, 9))


def test_without_vocabularies_new_rows_cannot_be_encoded():
    with pytest.raises(InputError, match="The vocabulary of field 'k' is not known"):
        FrameEncoder.load(store().schema, NO_VOCABULARIES)


def test_labels_weights_and_fields_of_the_time_are_those_of_files():
    times = [f"2024-0{1 + row % 3}-01T0{row % 2}:00" for row in range(40)]
    frame = {
        "rating": [1 + row % 5 for row in range(40)],
        "w": [row % 4 / 2 for row in range(40)],
        "when": times,
        "c": [f"c{row % 7}" for row in range(40)],
    }
    options = {"positive_from": 4, "weight": "w", "time_fields": ["hour", "month"]}
    found = prepare_frames(
        {"train": frame, "validation": frame},
        label="rating",
        categorical="*",
        time="when",
        **options,
    )
    kept = [row for row in range(40) if row % 4]
    rows = found.splits["train"]
    assert rows.numbers.tolist() == kept
    assert rows.labels.tolist() == [float(row % 5 >= 3) for row in kept]
    assert rows.weights.tolist() == [row % 4 / 2 for row in kept]
    assert [field.name for field in found.schema.fields] == [
        "c",
        "when_hour",
        "when_month",
    ]
    new = {"c": frame["c"], "when": pl.Series(times).str.to_datetime("%Y-%m-%dT%H:%M")}
    np.testing.assert_array_equal(encoded(new, found).ids[kept], rows.ids)


@pytest.mark.parametrize("unit", ["s", "h", "D", "ms", "ns"])
def test_times_of_numpy_may_have_any_unit(unit):
    times = np.arange(0, 40).astype("datetime64[D]").astype(f"datetime64[{unit}]")
    frame = {"y": [0, 1] * 20, "c": ["a", "b"] * 20, "t": times}
    store = prepare_frames(
        frame, label="y", categorical=["c"], time="t", time_fields=["month"]
    )
    assert store.vocabularies.tables()["t_month"].values.to_list() == ["1", "2"]


def test_real_labels_are_told_by_the_schema():
    frame = {"y": [0.5 * row for row in range(30)], "c": ["a", "b"] * 15}
    found = prepare_frames(frame, label="y", categorical="c", real_labels=True)
    assert found.schema.label_kind == "real"
    probabilities = {**frame, "y": [row / 30 for row in range(30)]}
    found = prepare_frames(probabilities, label="y", categorical="c")
    assert found.schema.label_kind == "probability"
