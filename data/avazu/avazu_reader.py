"""Avazu's click logs: CSV with a header, as in the Kaggle challenge of 2014.

`id` is dropped; `hour` (YYMMDDHH) becomes the hour of the day, the weekday (0 is Monday)
and whether it is a weekend; every other column is a category. Rows to predict may lack
`click`, as those of the challenge's test file.
"""

import datetime
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import csv, delimited, joins, kept, records, text
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

_LABEL = "click"
_KINDS = {_LABEL: "label", "hour": "whole", **dict.fromkeys(CATEGORIES, "text")}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; the header of new rows tells whether they have labels."""
    kinds, names = dict(_KINDS), tuple[str, ...]()
    if "kept" in options:
        there = csv.names(paths[0])
        names = kept.names(options, there)
        kinds = dict.fromkeys(names, "unused") | {
            name: kind
            for name, kind in _KINDS.items()
            if name != _LABEL or name in there
        }
    features = (
        formats.Column(name, "categorical") for name in (*FROM_HOUR, *CATEGORIES)
    )
    return formats.Reader(
        formats.Layout("click is 1", tuple(features), order=formats.TIME),
        functools.partial(_parts, kinds=kinds, names=names),
    )


def _parts(
    path: pathlib.Path, *, kinds: Mapping[str, str], names: Sequence[str]
) -> Iterator[formats.Part]:
    for header, chunk in csv.header_and_rows(path, kinds):
        yield formats.Part(functools.partial(_parse, chunk, header, names), chunk.taken)


def _parse(
    chunk: text.Chunk, header: Mapping[str, str], names: Sequence[str]
) -> pl.DataFrame:
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
    texts = kept.columns(chunk, header, names)
    return frame.select(
        *(pl.col(name).alias(formats.LABEL) for name in header if name == _LABEL),
        *FROM_HOUR,
        *CATEGORIES,
        pl.col("hour").alias(formats.TIME),
        *(each.alias(formats.KEPT + each.name) for each in texts),
    )


def _calendar(hour: int) -> tuple[str, str, str] | None:
    """Hour of the day, weekday, is a weekend; None if it is no hour."""
    try:
        time = datetime.datetime.strptime(f"{hour:08}", "%y%m%d%H")
    except ValueError:
        return None
    return str(time.hour), str(time.weekday()), str(int(time.weekday() >= 5))
