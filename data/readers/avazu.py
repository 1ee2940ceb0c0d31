"""Avazu's click logs: CSV with a header, as in the Kaggle challenge of 2014.

`id` is dropped; `hour` (YYMMDDHH) becomes the hour of the day, the weekday (0 is Monday)
and whether it is a weekend; every other column is a category.
"""

import datetime
import functools
import pathlib
from collections.abc import Iterator, Sequence

import polars as pl

from afm_jax.errors import InputError
from data import readers, text
from data.readers import csv, delimited

CATEGORIES = (
    *("C1", "banner_pos", "site_id", "site_domain", "site_category"),
    *("app_id", "app_domain", "app_category", "device_id", "device_ip"),
    *("device_model", "device_type", "device_conn_type"),
    *(f"C{index}" for index in range(14, 22)),
)
FROM_HOUR = ("hour_of_day", "weekday", "is_weekend")

_KINDS = {"click": "label", "hour": "time", **dict.fromkeys(CATEGORIES, "text")}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: readers.Options
) -> readers.Reader:
    """The reader; nothing depends on the files or the options."""
    columns = (
        readers.Column(name, "categorical") for name in (*FROM_HOUR, *CATEGORIES)
    )
    return readers.Reader(
        readers.Layout("click is 1", tuple(columns), order=readers.TIME), _parts
    )


def _parts(path: pathlib.Path) -> Iterator[readers.Part]:
    for header, chunk in csv.header_and_rows(path, _KINDS):
        yield readers.Part(functools.partial(_parse, chunk, header), chunk.taken)


def _parse(chunk: text.Chunk, header: dict[str, str]) -> pl.DataFrame:
    frame = delimited.parse(
        chunk, header, separator=csv.separator_of(chunk.path), quoted=True
    )
    hours = pl.DataFrame(
        [(hour, *_calendar(chunk, frame, hour)) for hour in frame["hour"].unique()],
        schema={"hour": pl.Float64, **dict.fromkeys(FROM_HOUR, pl.String)},
        orient="row",
    )
    return frame.join(hours, on="hour", how="left", maintain_order="left").select(
        pl.col("click").alias(readers.LABEL),
        *FROM_HOUR,
        *CATEGORIES,
        pl.col("hour").cast(pl.Int64).alias(readers.TIME),
    )


def _calendar(
    chunk: text.Chunk, frame: pl.DataFrame, hour: float
) -> tuple[str, str, str]:
    """Hour of the day, weekday, is a weekend."""
    try:
        time = datetime.datetime.strptime(f"{hour:08.0f}", "%y%m%d%H")
    except ValueError:
        row = int((frame["hour"] == hour).arg_max() or 0)
        raise InputError(
            f"{chunk.path} line {chunk.first_line + row}: hour is {hour:.0f}, expected YYMMDDHH."
        ) from None
    return str(time.hour), str(time.weekday()), str(int(time.weekday() >= 5))
