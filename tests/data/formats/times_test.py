"""Times in text against Python's own datetime, and the fields that they give."""

import datetime

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import csv, parquet, times
from afm_jax.errors import InputError

BARE = {
    **{"label": "y", "categorical": ("c",), "numeric": (), "multi_valued": ()},
    **{"separator": "|", "time": "t", "time_fields": ("hour", "weekday", "month")},
}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def read(path, **options):
    module = csv if path.suffix == ".csv" else parquet
    reader = module.open_reader([path], {**BARE, **options})
    return pl.concat([part.parse() for part in reader.parts(path)])


def frame(folder, values, *, form="csv", **options):
    path = folder / f"rows.{form}"
    rows = pl.DataFrame({"y": 1, "c": "a", "t": values})
    rows.write_csv(path) if form == "csv" else rows.write_parquet(path)
    return read(path, **options)


def fields(found):
    names = ("t_hour", "t_weekday", "t_month")
    return [tuple(map(int, row)) for row in found.select(names).iter_rows()]


TEXTS = [
    "2024-02-29",
    "1999-12-31T23:59",
    "1970-01-01 00:00:00",
    "1969-12-31 23:59:59",
    "2024-03-31T01:30:00+01:00",
    "2024-03-31T03:30:00+02:00",
    "1700-01-01",
    "2024-01-01 00:00:00.5-11:30",
    "2024-06-01T12:00:00Z",
    "2261-12-31T23:59:59",
    "2024-06-01T12:00:00.000001+0530",
]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_times_are_the_instants_and_fields_the_clock_of_the_text(tmp_path, form):
    found = frame(tmp_path, TEXTS, form=form)
    known = [datetime.datetime.fromisoformat(text) for text in TEXTS]
    zoned = [t if t.tzinfo else t.replace(tzinfo=datetime.UTC) for t in known]
    microsecond = datetime.timedelta(microseconds=1)
    expected = [1000 * ((t - EPOCH) // microsecond) for t in zoned]
    assert found[formats.TIME].to_list() == expected
    assert fields(found) == [(t.hour, t.isoweekday(), t.month) for t in known]


def test_other_ways_to_write_a_time(tmp_path):
    noon = ["2024-06-01T12:00:00Z", "2024-06-01t12:00:00z", " 2024-06-01 12:00 UTC "]
    noon += ["2024-06-01 12:00:00 +00:00", "2024-06-01T13:00:00.000+01"]
    assert frame(tmp_path, noon)[formats.TIME].n_unique() == 1


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_nanoseconds_do_not_tie(tmp_path, form):
    texts = [f"2024-06-01T12:00:00.12345678{digit}" for digit in (3, 1, 2)]
    found = frame(tmp_path, texts, form=form)[formats.TIME]
    assert (found - found.min()).to_list() == [2, 0, 1]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        *(
            (text, "expected a date, or a date and time")
            for text in (
                "2024-02-30",
                "2024-13-01",
                "2024-01-01T25:00",
                "17",
                "2024-1-1",
                "2024-01-01T10",
                "2024-01-01T10:00:00.1234567890",
                "2024-01-01X",
                "2024-01-01T10:00+24:00",
                "31/12/2024",
                "nan",
            )
        ),
        *(
            (text, "expected a time of the years 1678 to 2261")
            for text in (
                "0001-01-01",
                "9999-12-31 23:59:59",
                "0000-01-01",
                "1677-09-21",
            )
        ),
    ],
)
def test_a_text_that_is_no_time_is_named(tmp_path, form, text, told):
    with pytest.raises(InputError, match=rf"(line 3|row 2): t is .*, {told}"):
        frame(tmp_path, ["2024-01-01", text], form=form)


def test_the_first_row_tells_dates_from_numbers(tmp_path):
    with pytest.raises(InputError, match="line 3: t is '2024-01-01', expected a time"):
        frame(tmp_path, ["17", "2024-01-01"], time_fields=())
    with pytest.raises(InputError, match="line 2: t is '31/12/2024', expected a time"):
        frame(tmp_path, ["31/12/2024"], time_fields=())
    with pytest.raises(InputError, match="'t' holds dates, and a numeric column holds"):
        frame(tmp_path, ["2024-01-01"], numeric=("t",))


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "America/New_York"])
def test_a_frame_gives_the_same_times_as_csv_and_as_parquet(tmp_path, zone):
    """Around both changes of the clocks; polars writes the zone into the text."""
    utc = [
        datetime.datetime(2024, month, day, hour, 30)
        for month, day in ((3, 10), (3, 31), (10, 27), (11, 3))
        for hour in range(8)
    ]
    moments = pl.Series(utc, dtype=pl.Datetime("us"))
    if zone:
        moments = moments.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    by_csv, by_parquet = (
        frame(tmp_path, moments, form=form) for form in ("csv", "parquet")
    )
    assert fields(by_csv) == fields(by_parquet)
    order = by_csv[formats.TIME]
    assert order.to_list() == (1000 * by_parquet[formats.TIME]).to_list()
    assert order.is_sorted()
    assert order.n_unique() == len(utc)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("unit", times.UNITS)
def test_numbers_have_a_unit_for_their_fields(tmp_path, form, unit):
    noon = datetime.datetime(2024, 6, 1, 12, 59, 59, tzinfo=datetime.UTC)
    seconds = [int(noon.timestamp()), -1, 0]
    numbers = [second * times.UNITS[unit] for second in seconds]
    found = frame(tmp_path, numbers, form=form, time_unit=unit)
    assert fields(found) == [(12, 6, 6), (23, 3, 12), (0, 4, 1)]
    assert found[formats.TIME].to_list() == numbers


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_unit_is_needed_for_numbers_and_for_nothing_else(tmp_path, form):
    with pytest.raises(InputError, match="'t' are numbers; give --time_unit"):
        frame(tmp_path, [17], form=form)
    with pytest.raises(InputError, match=r"--time_unit=s has no meaning: .* are dates"):
        frame(tmp_path, ["2024-01-01"], form=form, time_unit="s")
    with pytest.raises(InputError, match="has no meaning without --time_fields"):
        frame(tmp_path, [17], form=form, time_unit="s", time_fields=())
    told = r"(line 3|row 2): t is '?17*'?, expected .* 1 to 9999 in --time_unit=s"
    with pytest.raises(InputError, match=told):
        frame(tmp_path, [1, 1777777777777777], form=form, time_unit="s")


def test_dates_of_parquet_give_fields_and_times_of_day_none(tmp_path):
    days = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]
    found = frame(tmp_path, days, form="parquet")
    assert fields(found) == [(0, 1, 1), (0, 5, 12)]
    assert found[formats.TIME].is_sorted()
    for value in datetime.time(5), datetime.timedelta(5), True:
        with pytest.raises(
            InputError, match="--time_fields: column 't' holds values of"
        ):
            frame(tmp_path, [value], form="parquet")
        assert frame(tmp_path, [value], form="parquet", time_fields=()).height == 1


def test_without_a_header_the_first_line_tells_dates_from_numbers(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('1;a;"2024-01-01T05:00"\n0;b;2024-02-02 06:00\n')
    named = {"label": "0", "categorical": ("1",), "time": "2", "header": False}
    found = read(path, **named, delimiter=";")
    assert found["2_hour"].to_list() == ["5", "6"]
    assert found[formats.TIME].is_sorted()
