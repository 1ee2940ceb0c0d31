"""Avazu's click logs: CSV with a header, as in the Kaggle challenge of 2014.

`id` is dropped; `hour` (YYMMDDHH) becomes the hour of the day, the weekday (0 is Monday)
and whether it is a weekend; every other column is a category.
"""

import datetime
import functools
import pathlib
from collections.abc import Iterator, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import csv, delimited, joins, records, text
from afm_jax.errors import InputError

CATEGORIES = (
    "C1",
    "banner_pos",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    *(f"C{index}" for index in range(14, 22)),
)
FROM_HOUR = ("hour_of_day", "weekday", "is_weekend")

_KINDS = {"click": "label", "hour": "whole", **dict.fromkeys(CATEGORIES, "text")}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; nothing depends on the files or the options."""
    columns = (
        formats.Column(name, "categorical") for name in (*FROM_HOUR, *CATEGORIES)
    )
    return formats.Reader(
        formats.Layout("click is 1", tuple(columns), order=formats.TIME), _parts
    )


def _parts(path: pathlib.Path) -> Iterator[formats.Part]:
    for header, chunk in csv.header_and_rows(path, _KINDS):
        yield formats.Part(functools.partial(_parse, chunk, header), chunk.taken)


def _parse(chunk: text.Chunk, header: dict[str, str]) -> pl.DataFrame:
    frame = delimited.parse(chunk, header)
    hours = pl.DataFrame(
        [(hour, *(_calendar(hour) or [None] * 3)) for hour in frame["hour"].unique()],
        schema={"hour": pl.Int64, **dict.fromkeys(FROM_HOUR, pl.String)},
        orient="row",
    )
    frame = joins.add_columns(frame, hours, on="hour")
    wrong = frame["weekday"].is_null()
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"{records.where(chunk, row)}: hour is {frame['hour'][row]}, expected YYMMDDHH, such as 14102100."
        )
    return frame.select(
        pl.col("click").alias(formats.LABEL),
        *FROM_HOUR,
        *CATEGORIES,
        pl.col("hour").alias(formats.TIME),
    )


def _calendar(hour: int) -> tuple[str, str, str] | None:
    """Hour of the day, weekday, is a weekend; None if it is no hour."""
    try:
        time = datetime.datetime.strptime(f"{hour:08}", "%y%m%d%H")
    except ValueError:
        return None
    return str(time.hour), str(time.weekday()), str(int(time.weekday() >= 5))
