import logging

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.preparation.raw_builder import (
    CsvBuilder,
    LibfmBuilder,
    ParquetBuilder,
)
from afm_jax.errors import InputError
from afm_jax.features import Rows

OPTIONS = {"label": "y", "categorical": ("c",)}


def encoded(builder, tmp_path, **options):
    """The schema of the source, and the ids of each split's rows in order."""
    made = builder(
        data_dir=str(tmp_path / "d"), source=tmp_path / "in", options=options
    )
    schema, blocks, *_ = made.encode(made.source, tmp_path / "out")
    ids = {}
    for split, rows, *_ in blocks:
        ids.setdefault(split, []).append(rows.ids)
    return schema, {split: np.concatenate(parts) for split, parts in ids.items()}


def write(path, **columns):
    """A file of 40 rows, whose columns are given beside the label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"y": [row % 2 for row in range(40)], **columns})
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)


WORDS = [f"w{row % 5}" for row in range(40)]


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
def test_part_files_are_one_table_and_folders_are_splits(tmp_path, builder):
    ending = builder.name
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "_SUCCESS").touch()
    for part in range(2):
        write(tmp_path / "in" / f"part-0000{part}.{ending}", c=WORDS)
    schema, ids = encoded(builder, tmp_path, **OPTIONS)
    assert {split: len(rows) for split, rows in ids.items()} == {
        "train": 64,
        "validation": 8,
        "test": 8,
    }
    for part, split in enumerate(("train", "validation")):
        folder = tmp_path / "in" / split
        folder.mkdir()
        (tmp_path / "in" / f"part-0000{part}.{ending}").rename(folder / f"0.{ending}")
    schema, ids = encoded(builder, tmp_path, **OPTIONS)
    assert {split: len(rows) for split, rows in ids.items()} == {
        "train": 40,
        "validation": 40,
    }
    assert schema.options["split"] is schema.options["fractions"] is None
    assert list(schema.sources) == [f"train/0.{ending}", f"validation/0.{ending}"]


@pytest.mark.parametrize(
    ("options", "validation"),
    [
        ({}, 4),
        ({"split": "random", "fractions": [0.8, 0.2]}, 8),
        ({"split": "time", "time": "t"}, 4),
    ],
)
def test_validation_is_held_out_of_train_beside_a_test_file(
    tmp_path, caplog, options, validation
):
    write(tmp_path / "in" / "train.csv", c=WORDS, t=list(range(40)))
    write(tmp_path / "in" / "test.csv", c=["w0"] * 40, t=[9] * 40)
    with caplog.at_level(logging.INFO, "afm_jax.data"):
        schema, ids = encoded(CsvBuilder, tmp_path, **OPTIONS, **options)
    counts = {split: len(rows) for split, rows in ids.items()}
    assert counts == {
        "train": 40 - validation,
        "validation": validation,
        "test": 40,
    }
    assert len(np.unique(ids["test"])) == 1
    assert len(schema.options["fractions"]) == 2
    assert any(
        "training rows are held out for validation" in line for line in caplog.messages
    )
    if options.get("split") == "time":
        assert len(np.unique(ids["validation"])) == 4  # w1 to w4, the last rows


def test_fractions_for_test_beside_a_test_file_are_refused(tmp_path):
    for name in ("train", "test"):
        write(tmp_path / "in" / f"{name}.csv", c=WORDS)
    with pytest.raises(InputError, match="the test rows are given"):
        encoded(CsvBuilder, tmp_path, **OPTIONS, fractions=[0.8, 0.1, 0.1])


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
def test_a_folder_of_unrelated_tables_is_refused(tmp_path, builder):
    write(tmp_path / "in" / f"clicks.{builder.name}", c=WORDS)
    write(tmp_path / "in" / f"users.{builder.name}", c=WORDS, age=list(range(40)))
    with pytest.raises(InputError, match=r"clicks.* has no column 'age', and .*users"):
        encoded(builder, tmp_path, **OPTIONS)


def test_older_rows_train_whatever_the_units_of_the_files(tmp_path):
    days = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 20), eager=True
    )
    for name, part, unit in [("a", days[:40], "us"), ("b", days[40:], "ms")]:
        times = part.cast(pl.Datetime(unit))
        write(tmp_path / "in" / f"{name}.parquet", c=[name] * 40, t=times)
    options = {"split": "time", "time": "t", "fractions": [0.5, 0.5]}
    _, ids = encoded(ParquetBuilder, tmp_path, **OPTIONS, **options)
    assert np.unique(ids["train"]).tolist() == [2]  # all "a"
    assert np.unique(ids["validation"]).tolist() == [1]  # all unseen


def test_a_category_has_one_id_in_files_of_two_types_of_numbers(tmp_path):
    numbers = [row % 7 for row in range(40)]
    write(tmp_path / "in" / "train.parquet", c=numbers)
    floats = [None, *map(float, numbers[1:])]
    write(tmp_path / "in" / "validation.parquet", c=floats)
    _, ids = encoded(ParquetBuilder, tmp_path, **OPTIONS)
    assert ids["validation"][0] == 0
    np.testing.assert_array_equal(ids["validation"][1:], ids["train"][1:])


LISTS = [["a", "b", "c"][: 1 + row % 3] for row in range(40)]


def test_max_slots_cut_lists_alike_in_every_format(tmp_path):
    joined = ["|".join(items) for items in LISTS]
    write(tmp_path / "in" / "rows.csv", c=WORDS, m=joined)
    options = {**OPTIONS, "multi_valued": ("m",), "max_slots": ["2"]}
    schema, by_csv = encoded(CsvBuilder, tmp_path, **options)
    assert [field.slots for field in schema.fields] == [1, 2]
    (tmp_path / "in" / "rows.csv").unlink()
    write(tmp_path / "in" / "rows.parquet", c=WORDS, m=LISTS)
    _, by_parquet = encoded(ParquetBuilder, tmp_path, **options)
    (tmp_path / "in" / "rows.parquet").unlink()
    lines = [
        f"{row % 2} {row % 5}:1 " + " ".join(f"{5 + 'abc'.index(x)}:1" for x in items)
        for row, items in enumerate(LISTS)
    ]
    (tmp_path / "in" / "rows.libfm").write_text("\n".join(lines))
    sizes = {"field_sizes": (5, 3), "max_slots": ["field_1:2"]}
    _, by_libfm = encoded(LibfmBuilder, tmp_path, **sizes)
    for split, ids in by_csv.items():
        np.testing.assert_array_equal(ids, by_parquet[split])
        np.testing.assert_array_equal(ids, by_libfm[split])


def rows_of(builder, tmp_path, **options):
    """The schema and the rows of each split, in order."""
    made = builder(
        data_dir=str(tmp_path / "d"), source=tmp_path / "in", options=options
    )
    schema, blocks, *_ = made.encode(made.source, tmp_path / "out")
    parts = {}
    for block in blocks:
        parts.setdefault(block.split, []).append(block.rows)
    return schema, {split: Rows.concatenate(each) for split, each in parts.items()}


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
def test_weights_go_with_their_rows_and_rows_of_weight_0_are_left_out(
    tmp_path, builder, caplog
):
    weights = [row % 4 / 2 for row in range(40)]
    words = [*(["rare"] * 40), *WORDS][::2]  # half of the rows
    write(tmp_path / "in" / f"r.{builder.name}", c=words, w=weights)
    options = {**OPTIONS, "weight": "w", "split": "random", "seed": 3}
    with caplog.at_level(logging.INFO, "afm_jax.data"):
        schema, splits = rows_of(builder, tmp_path, **options)
    assert "10 rows have weight 0: left out." in caplog.messages
    numbers = np.concatenate([rows.numbers for rows in splits.values()])
    assert sorted(numbers) == [row for row in range(40) if weights[row]]
    for rows in splits.values():
        np.testing.assert_array_equal(rows.weights, np.array(weights)[rows.numbers])
        np.testing.assert_array_equal(rows.labels, rows.numbers % 2)
    assert schema.options["weight"] == "w"


def test_a_split_of_rows_of_weight_0_alone_is_refused(tmp_path):
    for name, weight in ("train", 1), ("validation", 0):
        write(tmp_path / "in" / f"{name}.csv", c=WORDS, w=[weight] * 40)
    told = "All 40 rows of the validation split have weight 0"
    with pytest.raises(InputError, match=told):
        encoded(CsvBuilder, tmp_path, **OPTIONS, weight="w")


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
@pytest.mark.parametrize("weight", ["-0.5", "nan", "1e39", None])
def test_a_weight_that_is_none_is_named_with_its_place(tmp_path, builder, weight):
    weights = [1.0, 0.0, None if weight is None else float(weight)] + [2.0] * 37
    write(tmp_path / "in" / f"r.{builder.name}", c=WORDS, w=weights)
    told = r"(line 4|row 3): w is .*, expected a weight, a finite number of 0 or more"
    with pytest.raises(InputError, match=told):
        encoded(builder, tmp_path, **OPTIONS, weight="w")


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
def test_all_columns_and_fields_of_the_time_are_fields_and_are_recorded(
    tmp_path, builder
):
    days = [f"2024-0{1 + row % 3}-01T0{row % 2}:00" for row in range(40)]
    write(tmp_path / "in" / f"r.{builder.name}", c=WORDS, d=WORDS, t=days)
    options = {"label": "y", "categorical": ["*"], "time": "t"}
    fields = {"time_fields": ["hour", "month"], "split": "random"}
    schema, _ = encoded(builder, tmp_path, **options, **fields)
    sizes = {field.name: field.vocab_size - 2 for field in schema.fields}
    assert sizes == {"c": 5, "d": 5, "t_hour": 2, "t_month": 3}
    assert schema.options["categorical"] == ("c", "d")
    assert schema.options["time_fields"] == ["hour", "month"]


def test_max_slots_need_a_multi_valued_column(tmp_path):
    write(tmp_path / "in" / "rows.csv", c=WORDS)
    with pytest.raises(InputError, match="--max_slots=3: no multi_valued columns"):
        encoded(CsvBuilder, tmp_path, **OPTIONS, max_slots=["3"])


@pytest.mark.parametrize("builder", [CsvBuilder, ParquetBuilder])
def test_times_in_nanoseconds_are_told_apart(tmp_path, builder):
    """The newest row comes first; training gets the older half, to the nanosecond."""
    times = [1_700_000_000_000_000_000 + 39 - row for row in range(40)]
    words = ["newer"] * 20 + ["older"] * 20
    write(tmp_path / "in" / f"a.{builder.name}", c=words, t=times)
    options = {**OPTIONS, "time": "t", "split": "time", "fractions": [0.5, 0.5]}
    _, ids = encoded(builder, tmp_path, **options)
    assert set(ids["train"].ravel()) == {2}  # the one value of training, 'older'
    assert set(ids["validation"].ravel()) == {1}


def test_large_times_beside_fractions_are_refused(tmp_path):
    large = [2**53 + row for row in range(40)]
    write(tmp_path / "in" / "a.csv", c=WORDS, t=large)
    write(tmp_path / "in" / "b.csv", c=WORDS, t=[0.5] * 40)
    options = {**OPTIONS, "time": "t", "split": "time"}
    with pytest.raises(InputError, match="some times have fractions and others"):
        encoded(CsvBuilder, tmp_path, **options)
    (tmp_path / "in" / "b.csv").unlink()
    mixed = ["0.5", *map(str, large[1:])]
    write(tmp_path / "in" / "a.csv", c=WORDS, t=mixed)
    with pytest.raises(InputError, match=r"a\.csv, lines 2 to 41: a time of 2\^53"):
        encoded(CsvBuilder, tmp_path, **options)
