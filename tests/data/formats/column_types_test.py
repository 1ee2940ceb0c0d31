import datetime

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import parquet
from afm_jax.errors import InputError


def frames(folder, *given, role="categorical"):
    """The column of each file that holds one of the columns, by their reader."""
    paths = [folder / f"{index}.parquet" for index in range(len(given))]
    for path, column in zip(paths, given, strict=True):
        data = {"y": pl.repeat(1, len(column), eager=True), "k": [0.0] * len(column)}
        pl.DataFrame({**data, "c": column}).write_parquet(path)
    options = {**dict.fromkeys(("categorical", "multi_valued"), ()), "time": None}
    options |= {"label": "y", "numeric": ("k",), "separator": "|"}
    options[role] = "c" if role in ("time", "label", "weight") else ("c",)
    reader = parquet.open_reader(paths, options)
    name = {"time": formats.TIME, "label": formats.LABEL}.get(role, "c")
    return [
        pl.concat([part.parse() for part in reader.parts(path)])[name] for path in paths
    ]


def test_whole_numbers_are_one_category_in_files_of_all_types_of_numbers(tmp_path):
    numbers = [7, None, 0, -3]
    found = frames(
        tmp_path,
        *(pl.Series(numbers, dtype=kind) for kind in (pl.Int8, pl.Int64, pl.Int32)),
        pl.Series([7, None, -0.0, -3], dtype=pl.Float64),
        pl.Series([7, float("nan"), -0.0, -3], dtype=pl.Float32),
        pl.Series(map(str, [7, "", 0, -3]), dtype=pl.String)
        .replace("", None)
        .cast(pl.Decimal(10, 2)),
    )
    assert [column.to_list() for column in found] == [["7", None, "0", "-3"]] * 6


def test_whole_floats_are_whole_numbers_in_a_file_alone(tmp_path):
    floats = [7.0, 100.0, 1e20, -0.0, 0.5, 1.25e-7, None, float("nan")]
    (found,) = frames(tmp_path, pl.Series(floats, dtype=pl.Float64))
    expected = ["7", "100", "1" + "0" * 20, "0", "0.5", "1.25e-7", None, None]
    assert found.to_list() == expected


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pl.Series([1]), pl.Series([2.0, 0.5])),
        (pl.Series([1]), pl.Series([2.0, 1e18])),
        (pl.Series([1.0]), pl.Series([2.0, 0.1], dtype=pl.Float32)),
        (pl.Series([1.0]), pl.Series([2.0, 2.0**24], dtype=pl.Float32)),
        (pl.Series([1]), pl.Series(["2.0", "0.1"]).cast(pl.Decimal(9, 1))),
        (pl.Series([[1]]), pl.Series([[2.0], [2.0, 0.5]])),
    ],
)
def test_numbers_that_types_do_not_share_are_refused(tmp_path, one, two):
    role = "multi_valued" if one.dtype.is_nested() else "categorical"
    told = r"1\.parquet row 2: c is .*, expected a whole number.* another type in .*0\.parquet"
    with pytest.raises(InputError, match=told):
        frames(tmp_path, one, two, role=role)


DAY = datetime.datetime(2024, 1, 2)


@pytest.mark.parametrize(
    ("role", "one", "two"),
    [
        ("categorical", pl.Series([7]), pl.Series(["7"])),
        ("categorical", pl.Series([1]), pl.Series([True])),
        ("categorical", pl.Series(["true"]), pl.Series([True])),
        ("categorical", pl.Series([DAY]), pl.Series([DAY.date()])),
        ("categorical", pl.Series([DAY]), pl.Series(["2024-01-02 00:00:00"])),
        ("multi_valued", pl.Series([["a"]]), pl.Series(["a"])),
        ("multi_valued", pl.Series([["7"]]), pl.Series([[7]])),
        ("time", pl.Series([7]), pl.Series([DAY])),
        ("time", pl.Series([7]), pl.Series([True])),
        ("time", pl.Series(["2024-01-02"]), pl.Series([DAY])),
        ("label", pl.Series([1]), pl.Series(["yes"])),
        ("time", pl.Series([DAY]), pl.Series([DAY]).dt.replace_time_zone("UTC")),
    ],
)
def test_types_that_cannot_be_compared_name_both_files(tmp_path, role, one, two):
    for pair in ((one, two), (two, one)):
        with pytest.raises(InputError) as error:
            frames(tmp_path, *pair, role=role)
        told = str(error.value)
        assert "1.parquet: column 'c' is of type" in told
        assert "0.parquet of type" in told
        assert told.endswith("expected one type in all files.")


@pytest.mark.parametrize("role", ["categorical", "multi_valued", "numeric"])
def test_a_file_without_any_value_fits_all_others(tmp_path, role):
    none = pl.Series([None, None], dtype=pl.Null)
    for column in (pl.Series([7]), pl.Series([7.0])):
        found = frames(tmp_path, none, column, role=role)
        assert found[0].to_list() == [None, None]
        assert found[1].to_list() in (["7"], [["7"]], [7.0])


def test_categories_of_one_moment_are_one_text_in_all_units_and_zones(tmp_path):
    moments = pl.Series([DAY, DAY.replace(microsecond=5000), None])
    plain = [moments.cast(pl.Datetime(unit)) for unit in ("ms", "us", "ns")]
    found = [column.to_list() for column in frames(tmp_path, *plain)]
    assert found == [["2024-01-02 00:00:00", "2024-01-02 00:00:00.005", None]] * 3
    utc = moments.dt.replace_time_zone("UTC")
    zones = [utc.dt.convert_time_zone(zone) for zone in ("Asia/Tokyo", "UTC")]
    found = [column.to_list() for column in frames(tmp_path, *zones)]
    assert found == [["2024-01-02 00:00:00Z", "2024-01-02 00:00:00.005Z", None]] * 2


def test_truth_values_dates_times_of_day_and_bytes_are_categories(tmp_path):
    for column, text in [
        (pl.Series([True, False]), ["true", "false"]),
        (pl.Series([DAY.date()]), ["2024-01-02"]),
        (pl.Series([datetime.time(1, 2, 3, 500)]), ["01:02:03.000500"]),
        (pl.Series([b"a", "é".encode(), None]), ["a", "é", None]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])), ["b", "a"]),
    ]:
        (found,) = frames(tmp_path, column)
        assert found.to_list() == text


def test_empty_text_and_the_word_nan_are_missing_as_nan_is(tmp_path):
    words = ["a", "", "nan", "NaN", None]
    for kind in (pl.String, pl.Categorical):
        (found,) = frames(tmp_path, pl.Series(words, dtype=kind))
        assert found.to_list() == ["a", None, None, None, None]
    (found,) = frames(tmp_path, pl.Series([words, None]), role="multi_valued")
    assert found.to_list() == [["a"], None]
    (found,) = frames(tmp_path, pl.Series(["a||nan|b", ""]), role="multi_valued")
    assert found.to_list() == [["a", "b"], []]


def test_lists_of_a_fixed_size_are_lists(tmp_path):
    lists = [[1, 2], [None, 3], None]
    fixed = pl.Series(lists, dtype=pl.Array(pl.Int64, 2))
    floats = pl.Series(lists, dtype=pl.List(pl.Float64))
    found = frames(tmp_path, fixed, floats, role="multi_valued")
    assert [column.to_list() for column in found] == [[["1", "2"], ["3"], None]] * 2


DURATION = pl.Series([datetime.timedelta(1)])


@pytest.mark.parametrize(
    ("role", "column", "told"),
    [
        (
            "categorical",
            pl.Series([[1]]),
            r"List\(Int64\), .*--multi_valued takes lists",
        ),
        ("categorical", pl.Series([[1]], dtype=pl.Array(pl.Int8, 1)), r"Array\(Int8"),
        ("categorical", DURATION, r"Duration\(.*\), expected text, numbers"),
        ("categorical", pl.Series([{"a": 1}]), r"Struct\(.*\), expected text, numbers"),
        (
            "multi_valued",
            pl.Series([[[1]]]),
            r"List\(List\(Int64\)\), expected text, or",
        ),
        ("multi_valued", pl.Series([[{"a": 1}]]), r"List\(Struct.*, expected text, or"),
        ("multi_valued", pl.Series([{"a": 1}]), r"Struct.*, expected text, or lists"),
        ("numeric", pl.Series(["1"]), "String, expected numbers"),
        ("numeric", pl.Series([DAY]), "Datetime.*, expected numbers"),
        ("numeric", pl.Series([[1.0]]), r"List\(Float64\), expected numbers"),
        ("label", pl.Series([DAY]), "Datetime.*, expected numbers"),
        ("time", pl.Series([{"a": 1}]), "Struct.*, expected numbers or dates"),
        ("weight", pl.Series(["1"]), "String, expected numbers"),
        ("weight", pl.Series([True]), "Boolean, expected numbers"),
        ("time", pl.Series([[1]]), r"List\(Int64\), expected numbers or dates"),
    ],
)
def test_a_type_that_a_role_cannot_have_names_the_column(tmp_path, role, column, told):
    with pytest.raises(InputError, match=rf"0\.parquet: column 'c' is of type {told}"):
        frames(tmp_path, column, role=role)


@pytest.mark.parametrize(
    ("role", "column"),
    [
        ("categorical", pl.Series([b"a", b"\xff"])),
        ("multi_valued", pl.Series([[b"a"], [None, b"\xff"], None])),
    ],
)
def test_bytes_that_are_no_text_name_their_row(tmp_path, role, column):
    told = r"row 2: c is .*b'\\xff'.*, expected UTF-8 text"
    with pytest.raises(InputError, match=told):
        frames(tmp_path, column, role=role)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pl.Series(["1", "2"]).cast(pl.Decimal(9, 0)), "row 2: c is Decimal"),
        (pl.Series([1.0, float("nan")]), "row 2: c is nan"),
        (pl.Series([True, None]), "row 2: c is None"),
        (pl.Series([None], dtype=pl.Null), "row 1: c is None"),
        (pl.Series([255], dtype=pl.UInt8), "row 1: c is 255"),
    ],
)
def test_a_label_that_is_none_names_its_row(tmp_path, column, told):
    with pytest.raises(InputError, match=f"{told}.*, expected 0 or 1"):
        frames(tmp_path, column, role="label")


def test_labels_and_numbers_may_be_of_other_types_in_each_file(tmp_path):
    given = pl.Series([1, 0]), pl.Series([1.0, 0.0]), pl.Series([True, False])
    given += (pl.Series(["1.0", "0.0"]).cast(pl.Decimal(9, 1)),)
    for role in ("label", "numeric"):
        found = frames(tmp_path, *given, role=role)
        assert [column.to_list() for column in found] == [[1.0, 0.0]] * 4


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_are_compared_in_one_unit_whatever_that_of_their_file(tmp_path, unit):
    days = [DAY + datetime.timedelta(days=day) for day in range(4)]
    found = frames(
        tmp_path,
        pl.Series(days[3:]).cast(pl.Datetime("ms")),
        pl.Series(days[1:2]).cast(pl.Datetime(unit)),
        pl.Series([days[0].date(), days[2].date()]),
        role="time",
    )
    second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    expected = [int(day.timestamp() - days[0].timestamp()) * second for day in days]
    start = found[2][0]
    assert [time - start for column in found for time in column] == [
        expected[day] for day in (3, 1, 0, 2)
    ]
    assert {column.dtype for column in found} == {pl.Int64}


def test_times_of_zones_are_moments(tmp_path):
    utc = pl.Series([DAY]).dt.replace_time_zone("UTC").dt.cast_time_unit("ms")
    tokyo = pl.Series([DAY]).dt.replace_time_zone("Asia/Tokyo")
    one, two = frames(tmp_path, utc, tokyo, role="time")
    assert one[0] - two[0] == 9 * 3600 * 10**6


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        ([pl.Series([2], dtype=pl.Int8), pl.Series([3], dtype=pl.UInt64)], pl.Int64),
        ([pl.Series([2]), pl.Series([3.5])], pl.Float64),
        ([pl.Series([2.5]), pl.Series(["3.0"]).cast(pl.Decimal(9, 2))], pl.Float64),
        ([DURATION.cast(pl.Duration("ms")), 2 * DURATION], pl.Int64),
    ],
)
def test_times_that_are_numbers_have_one_type_and_their_order(tmp_path, given, dtype):
    one, two = frames(tmp_path, *given, role="time")
    assert one.dtype == two.dtype == dtype
    assert one[0] < two[0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            [pl.Series([DAY.replace(2500)]), pl.Series([DAY]).cast(pl.Datetime("ns"))],
            "row 1: c is datetime.* Int64 holds in the finest unit of all files, ns",
        ),
        ([pl.Series([2**63 + 1], dtype=pl.UInt64)], "row 1: c is 92.* Int64 holds"),
        ([pl.Series([2**53 + 1]), pl.Series([0.5])], "row 1: c is 90.* Float64 holds"),
    ],
)
def test_times_that_the_one_unit_cannot_hold_name_their_row(tmp_path, given, told):
    with pytest.raises(InputError, match=told):
        frames(tmp_path, *given, role="time")
