"""What a time tells, as training read it; beside predictor.py where a field needs it."""

import datetime
import re

import numpy as np

UNITS = {"s": 1, "ms": 1000, "us": 1000_000, "ns": 1000_000_000}
PARTS = {
    "hour": lambda clock: clock.hour,
    "weekday": lambda clock: clock.isoweekday(),
    "month": lambda clock: clock.month,
}
FORM = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2})(:\d{2})?(?:\.\d{1,9})?"
    r" ?(?:[-+](?:[01]\d|2[0-3]):?(?:[0-5]\d)?|Z|z|UTC)?)?",
    re.ASCII,
)


def reader(part, unit):
    """The function that gives a part of a time as text, such as the hour '7'.

    Times are numbers that count from 1970 in a unit, in UTC; or, if the unit is '', dates
    as text or as objects, of which the clock of their own zone is read.
    """

    def read(value):
        clock = of_number(value, unit) if unit else of_date(value)
        if clock is None:
            kind = f"a number in {unit}" if unit else "a date such as 2024-01-31T23:59"
            raise ValueError(f"expected a time, {kind}")
        return str(PARTS[part](clock))

    return read


def of_number(value, unit):
    number = isinstance(value, (int, float, np.integer, np.floating))
    if number and not isinstance(value, bool) and abs(value) < np.inf:
        seconds = value // UNITS[unit]
        if -62_135_596_800 <= seconds <= 253_402_300_799:
            day_0 = datetime.datetime(1970, 1, 1)
            return day_0 + datetime.timedelta(seconds=int(seconds))
    return None


def of_date(value):
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[s]").item()
    if isinstance(value, str):
        found = FORM.fullmatch(value.strip())
        if found is None:
            return None
        day, minutes, seconds = found[1], found[2] or "00:00", found[3] or ":00"
        try:
            return datetime.datetime.fromisoformat(f"{day} {minutes}{seconds}")
        except ValueError:
            return None
    if not isinstance(value, datetime.date) or value != value:  # as NaT of pandas
        return None
    if not isinstance(value, datetime.datetime):
        return datetime.datetime(value.year, value.month, value.day)
    # Columns of objects have one zone, which is UTC if each object has its own offset.
    alone = isinstance(value.tzinfo, datetime.timezone)
    return value.astimezone(datetime.UTC) if alone else value
