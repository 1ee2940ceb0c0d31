import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.errors import InputError
from data.avazu import avazu_reader

HEADER = ["id", "click", "hour", *avazu_reader.CATEGORIES]


def frame(path, rows, header=HEADER):
    lines = [",".join(header), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    (part,) = avazu_reader.open_reader([path], {}).parts(path)
    return part.parse()


def row(click, hour, first=0):
    return [17, click, hour, *range(first, first + 21)]


def test_the_hour_becomes_hour_of_day_weekday_and_weekend(tmp_path):
    rows = [row(0, 14102100), row(1, 14102523, 50), row(0, 14102602)]
    found = frame(tmp_path / "train", rows)
    assert found["hour_of_day"].to_list() == ["0", "23", "2"]
    assert found["weekday"].to_list() == ["1", "5", "6"]  # a Tuesday, a weekend
    assert found["is_weekend"].to_list() == ["0", "1", "1"]
    assert found[formats.TIME].to_list() == [14102100, 14102523, 14102602]
    assert found[formats.LABEL].to_list() == [0.0, 1.0, 0.0]


def test_the_id_is_dropped_and_the_columns_go_by_name(tmp_path):
    order = [*range(23, -1, -1)]
    turned = [[row(1, 14102100)[i] for i in order]]
    found = frame(tmp_path / "train", turned, [HEADER[i] for i in order])
    names = [column.name for column in avazu_reader.open_reader([], {}).layout.columns]
    assert "id" not in found.columns
    assert len(names) == 24
    assert found.select(names).row(0)[3:] == tuple(map(str, range(21)))


def test_a_missing_column_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no column 'click'; it has 'id', 'hour'"):
        frame(tmp_path / "test", [], [name for name in HEADER if name != "click"])


def test_the_line_of_an_error_counts_the_lines_in_quotes(tmp_path):
    rows = [row(0, 14102100), row(0, 14102100), row(0, 14109900)]
    rows[0][5] = '"a\nb ""c"""'
    with pytest.raises(InputError, match="line 5: hour is 14109900, expected YYMMDDHH"):
        frame(tmp_path / "train", rows)


@pytest.mark.parametrize(
    "hour", ["14102100.5", "-14102100", "", "nan", "9" * 30, "1e7"]
)
def test_an_hour_that_is_no_whole_number_is_an_error(tmp_path, hour):
    with pytest.raises(
        InputError, match=r"line 3: hour is '.*', expected a whole number"
    ):
        frame(tmp_path / "train", [row(0, 14102100), row(0, hour)])


@pytest.mark.parametrize("change", [-1, 1])
def test_a_row_with_too_few_or_too_many_columns_is_an_error(tmp_path, change):
    wrong = row(1, 14102100)
    wrong = wrong[:-1] if change < 0 else [*wrong, 1]
    with pytest.raises(InputError, match=f"line 3: {24 + change} columns, expected 24"):
        frame(tmp_path / "train", [row(0, 14102100), wrong])


@pytest.mark.parametrize("hour", [14102124, 5, 141021])
def test_an_hour_that_is_none_is_an_error(tmp_path, hour):
    rows = [row(0, 14102100), row(0, hour), row(1, hour)]
    with pytest.raises(InputError, match=f"line 3: hour is {hour}, expected YYMMDDHH"):
        frame(tmp_path / "train", rows)
