"""Parquet files: any columns, named by the user.

A multi-valued column is a list, or text cut at the separator; a label is 0 or 1 (or -1
for 0) or a truth value; NaN and null are missing.
"""

import functools
import pathlib
from collections.abc import Iterator, Sequence

import polars as pl

from afm_jax.errors import InputError
from data import readers
from data.readers import columns

_BATCH_ROWS = 65536

OPTIONS: tuple[str, ...] = columns.OPTIONS


def open_reader(
    paths: Sequence[pathlib.Path], options: readers.Options
) -> readers.Reader:
    """The reader of the columns that the options name, which are those of csv.

    Raises:
        InputError: the options name no label or no columns, or one twice.
    """
    chosen = columns.Chosen.of(options)
    return readers.Reader(chosen.layout, functools.partial(_parts, chosen=chosen))


def _parts(path: pathlib.Path, *, chosen: columns.Chosen) -> Iterator[readers.Part]:
    scan = pl.scan_parquet(path)
    try:
        schema = scan.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{path} is no complete parquet file: {str(error).splitlines()[0]}."
        ) from None
    columns.require(str(path), schema.names(), chosen.names)
    for name in (chosen.label, *chosen.numeric, *filter(None, [chosen.time])):
        kind = schema[name]
        temporal = kind.is_temporal() and name == chosen.time
        if not (kind.is_numeric() or kind == pl.Boolean or temporal):
            raise InputError(
                f"{path}: column {name!r} is of type {kind}, expected numbers."
            )
    rows = scan.select(pl.len()).collect().item()
    size = path.stat().st_size
    # Reading slices one after another, and not collect_batches, lets threads share work.
    for start in range(0, rows, _BATCH_ROWS):
        stop = min(start + _BATCH_ROWS, rows)
        parse = functools.partial(_parse, path, start, chosen)
        yield readers.Part(parse, size * stop // rows)


def _parse(path: pathlib.Path, start: int, chosen: columns.Chosen) -> pl.DataFrame:
    scan = pl.scan_parquet(path).slice(start, _BATCH_ROWS).select(chosen.names)
    try:
        frame = scan.collect()
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path}, in the rows from {start + 1} on: {str(error).splitlines()[0]}."
        ) from None
    label = frame[chosen.label].cast(pl.Float64)
    wrong = ~label.is_in([-1.0, 0.0, 1.0]).fill_null(False)
    _refuse(path, start, frame[chosen.label], wrong, "0 or 1")
    for name in chosen.numeric:
        infinite = frame[name].cast(pl.Float64).is_infinite().fill_null(False)
        _refuse(path, start, frame[name], infinite, "a finite number")
    if chosen.time:
        time = frame[chosen.time].to_physical()
        wrong = time.cast(pl.Float64).is_finite().not_().fill_null(True)
        _refuse(path, start, time, wrong, "a time")
        frame = frame.with_columns(time)
    return chosen.select(frame.with_columns((label > 0).alias(chosen.label)))


def _refuse(
    path: pathlib.Path, start: int, values: pl.Series, wrong: pl.Series, expected: str
) -> None:
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise InputError(
            f"{path} row {start + row + 1}: {values.name} is {values[row]!r}, expected {expected}."
        )
