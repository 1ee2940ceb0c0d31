"""Times in text, and what of them are fields of their own: hour, weekday, month.

A time is an ISO date, or a date and a time with T or a blank between; seconds, fractions of up
to nine digits and a zone may follow. Text without a zone is in UTC. Times are ordered by the
instant; hour, weekday and month are those that the text shows, in its own zone.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from afm_jax.data.formats.refusals import Refuse

FIELDS = {
    "hour": lambda wall: wall.dt.hour(),
    "weekday": lambda wall: wall.dt.weekday(),
    "month": lambda wall: wall.dt.month(),
}
"""What a time gives: hour 0 to 23, weekday 1 (Monday) to 7, month 1 to 12."""

UNITS = {"s": 1, "ms": 1000, "us": 1000_000, "ns": 1000_000_000}
"""How many units of a time that is a number make a second."""

_DATE = re.compile(r"\s*\d{4}-\d{2}-\d{2}")
_FORM = (
    r"^(\d{4}-\d{2}-\d{2})"
    r"(?:[Tt ](\d{2}:\d{2})(:\d{2})?(?:\.(\d{1,9}))?"
    r" ?(?:([-+])([01]\d|2[0-3]):?([0-5]\d)?|Z|z|UTC)?)?$"
)
_EXPECTED = "a date, or a date and time, such as 2024-01-31 or 2024-01-31T23:59:59+01:00, as in the first row"
_MOST_SECONDS = 2**63 // 10**9 - 86_400
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


class Times(NamedTuple):
    """The times of some rows.

    Attributes:
        order: Int64 or Float64, rising with time; in text, nanoseconds since 1970.
        wall: Datetime without a zone, what a clock shows; None if it is not asked for.
    """

    order: pl.Series
    wall: pl.Series | None


def is_date(value: str) -> bool:
    """Whether a text is a date, or begins with one; others may be numbers."""
    return _DATE.match(value) is not None


def of_text(values: pl.Series, refuse: Refuse) -> Times:
    """The times that texts say.

    Args:
        values: String.
        refuse: says what is wrong with a value.

    Raises:
        InputError: as `refuse`: not such a text, no such date, or a year that 64 bits do
            not count in nanoseconds.
    """
    parts = values.str.strip_chars().str.extract_groups(_FORM).struct.unnest()
    day, clock, second, fraction, sign, hours, minutes = map(pl.col, parts.columns)
    shown = pl.concat_str(
        day, pl.lit(" "), clock.fill_null("00:00"), second.fill_null(":00")
    )
    away = 60 * hours.cast(pl.Int64) + minutes.cast(pl.Int64).fill_null(0)
    found = parts.select(
        wall=shown.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="ms"),
        nanoseconds=fraction.str.pad_end(9, "0").cast(pl.Int64).fill_null(0),
        seconds=pl.when(sign == "-").then(-60 * away).otherwise(60 * away).fill_null(0),
    )
    refuse(values, found["wall"].is_null(), _EXPECTED)
    seconds = found["wall"].to_physical() // 1000 - found["seconds"]
    refuse(values, seconds.abs() > _MOST_SECONDS, "a time of the years 1678 to 2261")
    return Times(seconds * 10**9 + found["nanoseconds"], found["wall"])


def wall_of_numbers(values: pl.Series, unit: str, refuse: Refuse) -> pl.Series:
    """Datetimes in UTC of numbers that count from the beginning of 1970.

    Args:
        values: Int64 or Float64, without nulls.
        unit: of `UNITS`.
        refuse: says what is wrong with a value.

    Raises:
        InputError: as `refuse`: a time before the year 1 or after 9999.
    """
    seconds = values // UNITS[unit]
    within = seconds.is_between(_FIRST_SECOND, _LAST_SECOND)
    refuse(values, ~within, f"a time of the years 1 to 9999 in --time_unit={unit}")
    return (1000 * seconds.cast(pl.Int64)).cast(pl.Datetime("ms"))


def fields(wall: pl.Series, names: Sequence[str]) -> list[pl.Series]:
    """For each name of `FIELDS`, what the times are, String."""
    return [FIELDS[name](wall).cast(pl.String) for name in names]
