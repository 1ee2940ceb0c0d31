import datetime

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import parquet
from afm_jax.errors import InputError

OPTIONS = {
    "label": "y",
    "categorical": ("c",),
    "numeric": ("n",),
    "multi_valued": ("m",),
    "separator": "|",
    "time": None,
}
COLUMNS = {
    "y": [True, False, True],
    "c": [7, None, 9],
    "n": [1.5, None, float("nan")],
    "m": [["a", None, "b"], [], None],
}


def frame(path, data, **options):
    pl.DataFrame(data).write_parquet(path)
    parts = parquet.open_reader([path], {**OPTIONS, **options}).parts(path)
    return pl.concat([part.parse() for part in parts])


def test_columns_of_any_type_become_features(tmp_path):
    found = frame(tmp_path / "rows.parquet", COLUMNS)
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 1.0]
    assert found["c"].to_list() == ["7", None, "9"]
    assert found["m"].to_list() == [["a", "b"], [], None]
    assert found["n"].fill_nan(None).to_list() == [1.5, None, None]


def test_nan_is_no_category(tmp_path):
    nan = float("nan")
    data = {**COLUMNS, "c": [4.0, nan, None], "m": [[1.0, nan], [nan], None]}
    found = frame(tmp_path / "rows.parquet", data)
    assert found["c"].to_list() == ["4", None, None]
    assert found["m"].to_list() == [["1"], [], None]


def test_na_values_are_missing_among_categories_and_no_numbers(tmp_path):
    data = {"y": [0, 1, 1], "c": ["NA", "NA2", "7"], "n": [7.0, 1.0, -7.0]}
    data["m"] = [["NA", "a"], ["NA"], None]
    found = frame(tmp_path / "rows.parquet", data, na_values=("NA", "7"))
    assert found["c"].to_list() == [None, "NA2", None]
    assert found["m"].to_list() == [["a"], [], None]
    assert found["n"].to_list() == [7.0, 1.0, -7.0]
    data["m"] = ["NA|a", "NA", None]
    found = frame(tmp_path / "rows.parquet", data, na_values=("NA",))
    assert found["m"].to_list() == [["a"], [], None]


def test_text_of_multi_valued_columns_is_cut_and_dates_are_times(tmp_path):
    data = {**COLUMNS, "m": ["a|b", None, ""], "y": [-1, 0, 1]}
    data["t"] = [datetime.date(2024, 1, day) for day in (3, 1, 2)]
    found = frame(tmp_path / "rows.parquet", data, time="t")
    assert found["m"].to_list() == [["a", "b"], None, []]
    assert found[formats.LABEL].to_list() == [0.0, 0.0, 1.0]
    assert found[formats.TIME].arg_sort().to_list() == [1, 2, 0]


def test_the_parts_of_a_file_are_its_rows_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 64)
    data = {"y": [0] * 1000, "c": range(1000), "n": [0.0] * 1000, "m": ["a"] * 1000}
    path = tmp_path / "rows.parquet"
    found = frame(path, data)
    assert found["c"].to_list() == [str(number) for number in range(1000)]
    parts = list(parquet.open_reader([path], OPTIONS).parts(path))
    assert len(parts) == 16
    assert parts[-1].taken == path.stat().st_size


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"y": [0, 1, 2]}, "row 3: y is 2, expected 0 or 1"),
        ({"y": [0, None, 1]}, "row 2: y is None, expected 0 or 1"),
        ({"n": [0.0, 1.0, float("inf")]}, "row 3: n is inf, expected a finite number"),
        ({"n": ["a", "b", "c"]}, "column 'n' is of type String, expected numbers"),
        ({"c": None}, "no column 'c'; it has 'y', 'n', 'm'"),
    ],
)
def test_bad_values_are_named(tmp_path, change, told):
    data = {k: v for k, v in {**COLUMNS, **change}.items() if v is not None}
    with pytest.raises(InputError, match=told):
        frame(tmp_path / "rows.parquet", data)


def test_truth_values_are_times(tmp_path):
    found = frame(
        tmp_path / "r.parquet", {**COLUMNS, "t": [True, False, True]}, time="t"
    )
    assert found[formats.TIME].to_list() == [1, 0, 1]


@pytest.mark.parametrize("time", [None, float("nan"), float("inf")])
def test_a_time_that_is_none_is_named(tmp_path, time):
    with pytest.raises(InputError, match=r"row 2: t is .*, expected a time"):
        frame(tmp_path / "rows.parquet", {**COLUMNS, "t": [1.0, time, 2.0]}, time="t")


def test_a_file_that_is_no_parquet_is_an_error(tmp_path):
    path = tmp_path / "rows.parquet"
    pl.DataFrame(COLUMNS).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="no complete parquet file"):
        list(parquet.open_reader([path], OPTIONS).parts(path))


def test_a_time_that_is_a_number_as_well_is_a_number(tmp_path):
    found = frame(tmp_path / "r.parquet", {**COLUMNS, "n": [3, 1, 2]}, time="n")
    assert found["n"].to_list() == found[formats.TIME].to_list() == [3, 1, 2]
    days = [datetime.date(2024, 1, day) for day in (3, 1, 2)]
    with pytest.raises(InputError, match="'n' is of type Date, expected numbers"):
        frame(tmp_path / "r.parquet", {**COLUMNS, "n": days}, time="n")


def test_a_column_that_one_file_lacks_names_that_file(tmp_path):
    paths = tmp_path / "0.parquet", tmp_path / "1.parquet"
    pl.DataFrame(COLUMNS).write_parquet(paths[0])
    pl.DataFrame(COLUMNS).drop("c").write_parquet(paths[1])
    with pytest.raises(InputError, match=r"1\.parquet has no column 'c'; it has 'y', "):
        parquet.open_reader(paths, OPTIONS)


def test_a_file_without_rows_has_no_parts(tmp_path):
    path = tmp_path / "rows.parquet"
    pl.DataFrame(COLUMNS).clear().write_parquet(path)
    assert list(parquet.open_reader([path], OPTIONS).parts(path)) == []


def test_names_of_files_are_no_patterns(tmp_path):
    folder = tmp_path / "y=1" / "[ab]*"
    folder.mkdir(parents=True)
    found = frame(folder / "rows?.parquet", COLUMNS)
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 1.0]


def rows_or_line(path):
    """How many rows the reader gives, or its error."""
    try:
        parts = parquet.open_reader([path], {**OPTIONS, "time": "t"}).parts(path)
        return sum(part.parse().height for part in parts)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("compression", ["zstd", "uncompressed"])
def test_a_damaged_file_is_rows_or_one_line(tmp_path, compression):
    path = tmp_path / "rows.parquet"
    rows = pl.concat([pl.DataFrame(COLUMNS)] * 40).with_columns(t=pl.int_range(120))
    rows.write_parquet(path, compression=compression)
    whole, random = path.read_bytes(), np.random.default_rng(4)
    told = []
    for attempt in range(60):
        damaged = bytearray(
            whole[: None if attempt % 3 else random.integers(len(whole))]
        )
        for place in random.integers(len(damaged), size=3) if damaged else ():
            damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        told.append(rows_or_line(path))
    lines = [line for line in told if line != 120]
    assert all(str(path) in line and len(line.splitlines()) == 1 for line in lines)
    assert 20 < len(lines) < 60


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path):
    for path, told in [(tmp_path, "Is a directory"), (tmp_path / "x", "No such file")]:
        with pytest.raises(InputError, match=rf"^{path}: {told}.*\.$"):
            parquet.open_reader([path], OPTIONS)


def test_a_panic_of_polars_is_one_line(tmp_path, monkeypatch):
    def panic(*arguments):
        raise pl.exceptions.PanicException("index out of bounds\nand more")

    path = tmp_path / "rows.parquet"
    pl.DataFrame(COLUMNS).write_parquet(path)
    (part,) = parquet.open_reader([path], OPTIONS).parts(path)
    monkeypatch.setattr(parquet.pl.LazyFrame, "slice", panic)
    with pytest.raises(InputError, match=r"from 1 on: index out of bounds\.$"):
        part.parse()
