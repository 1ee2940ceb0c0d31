"""Parquet files: any columns, named by the user.

A multi-valued column is a list, of any or a fixed size, or text cut at the separator; NaN
and null are missing, and so are categories that the option `na_values` names. A column has one
type in all files of a source, see `column_types`.
"""

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import column_types, columns, times
from afm_jax.data.formats.refusals import Refuse
from afm_jax.errors import InputError

_BATCH_ROWS = 65536

_Types = Mapping[str, column_types.ColumnType]

OPTIONS: tuple[str, ...] = columns.OPTIONS


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader of the columns that the options name, which are those of csv.

    The types of the columns in all files are read.

    Raises:
        InputError: the options name no label or no columns, or one twice; a file is no
            parquet file or lacks a column; or a column has a type, or types in two
            files, that cannot be read.
    """
    schemas = {path: _schema(path) for path in paths}
    chosen = columns.Chosen.of(options, schemas[paths[0]].names)
    for path, schema in schemas.items():
        columns.require(str(path), schema.names(), chosen.names)
    types = {
        name: column_types.ColumnType.of(
            name, role, {path: schema[name] for path, schema in schemas.items()}
        )
        for name, role in chosen.roles
    }
    return formats.Reader(
        chosen.layout,
        functools.partial(_parts, chosen=chosen, types=types),
        check=lambda texts: chosen.labels.check(),
        names=lambda path: schemas[path].names(),
        resolved={"categorical": chosen.categorical},
    )


def _scan(path: pathlib.Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _schema(path: pathlib.Path) -> pl.Schema:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    with _told(f"{path} is no complete parquet file"):
        return _scan(path).collect_schema()


@contextlib.contextmanager
def _told(where: str) -> Iterator[None]:
    """Tells what polars finds wrong with a file in one line, panics as well."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{where}: {reason}.") from None


def _parts(
    path: pathlib.Path, *, chosen: columns.Chosen, types: _Types
) -> Iterator[formats.Part]:
    with _told(f"{path} is no complete parquet file"):
        rows = _scan(path).select(pl.len()).collect().item()
    size = path.stat().st_size
    # Reading slices one after another, and not collect_batches, lets threads share work.
    for start in range(0, rows, _BATCH_ROWS):
        stop = min(start + _BATCH_ROWS, rows)
        parse = functools.partial(_parse, path, range(start, stop), chosen, types)
        yield formats.Part(parse, size * stop // rows)


def _parse(
    path: pathlib.Path, rows: range, chosen: columns.Chosen, types: _Types
) -> pl.DataFrame:
    with _told(f"{path}, in the rows from {rows.start + 1} on"):
        frame = _scan(path).slice(rows.start, len(rows)).select(chosen.names).collect()
    if frame.height != len(rows):
        raise InputError(
            f"{path}, in the rows from {rows.start + 1} on: {frame.height} rows, expected {len(rows)}; the file is damaged."
        )
    return typed(frame, chosen, types, where=str(path), start=rows.start)


def typed(
    frame: pl.DataFrame,
    chosen: columns.Chosen,
    types: _Types,
    *,
    where: str,
    start: int = 0,
) -> pl.DataFrame:
    """The frame of a layout, of a frame whose columns have types.

    Args:
        frame: with the columns of `chosen`.
        chosen: the columns.
        types: of the columns in all frames of the source.
        where: what the frame is, for errors.
        start: rows before the frame's first, for errors.

    Raises:
        InputError: a value that its column cannot have; the error names its row, from 1.
    """
    refuse = functools.partial(_refuse, where, start)
    told: list[pl.Series] = []
    if chosen.label:
        label = frame[chosen.label]
        if not (label.dtype.is_numeric() or label.dtype == pl.Boolean):
            told.append(_text(label, types[chosen.label], refuse))
    for name in chosen.numeric:
        infinite = frame[name].cast(pl.Float64).is_infinite().fill_null(False)
        refuse(frame[name], infinite, "a finite number")
    wall = None
    if chosen.time:
        order, wall = _times(frame[chosen.time], chosen, types[chosen.time], refuse)
        told.append(order.alias(chosen.time))
    for name in (*chosen.categorical, *chosen.multi_valued):
        told.append(_text(frame[name], types[name], refuse))
    kept = [frame[name].alias(formats.KEPT + name) for name in chosen.kept]
    return chosen.select(frame.with_columns(told), refuse, wall).with_columns(kept)


def _times(
    values: pl.Series,
    chosen: columns.Chosen,
    column: column_types.ColumnType,
    refuse: Refuse,
) -> times.Times:
    chosen.refuse_time_unit(column.clock(bool(chosen.time_fields), values.name))
    if "text" in column.forms:
        return times.of_text(_text(values, column, refuse), refuse)
    order = _time(values, column, refuse)
    if not chosen.time_fields:
        return times.Times(order, None)
    return times.Times(order, _wall(values, order, chosen.time_unit, refuse))


def _wall(
    values: pl.Series, order: pl.Series, unit: str | None, refuse: Refuse
) -> pl.Series:
    """What the clock of the column's own zone shows, Datetime without a zone."""
    if unit is not None:
        return times.wall_of_numbers(order, unit, refuse)
    if getattr(values.dtype, "time_zone", None) is not None:
        return values.dt.replace_time_zone(None)
    return values.cast(pl.Datetime("ms"))


def _time(
    values: pl.Series, column: column_types.ColumnType, refuse: Refuse
) -> pl.Series:
    none = values.is_null()
    if values.dtype.is_numeric():
        none |= ~values.cast(pl.Float64).is_finite()
    refuse(values, none, "a time")
    times = values.to_frame().select(column.time(pl.col(values.name), values.dtype))
    time = times.to_series()
    refuse(
        values,
        time.is_null(),
        f"a time that {time.dtype} holds in the finest unit of all files, {column.unit}",
    )
    return time


def _text(
    values: pl.Series, column: column_types.ColumnType, refuse: Refuse
) -> pl.Series:
    frame, whole = values.to_frame(), pl.col(values.name)
    if column.another(values.dtype) is not None:
        doubtful = frame.select(column.is_doubtful(whole, values.dtype)).to_series()
        refuse(values, doubtful.fill_null(False), column.comparable(values.dtype))
    try:
        return frame.select(column_types.text(whole, values.dtype)).to_series()
    except pl.exceptions.ComputeError:
        refuse(values, pl.Series(map(_is_no_text, values.to_list())), "UTF-8 text")
        raise


def _is_no_text(value: Any) -> bool:
    """Whether bytes, or any bytes in a list, are not UTF-8."""
    try:
        for item in [value] if isinstance(value, bytes) else value or ():
            (item or b"").decode()
    except UnicodeDecodeError:
        return True
    return False


def _refuse(
    where: str, start: int, values: pl.Series, wrong: pl.Series, expected: str
) -> None:
    """Raises an InputError that names the first row that is wrong."""
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        found = column_types.shortened(repr(values.slice(row, 1).to_list()[0]))
        raise InputError(
            f"{where} row {start + row + 1}: {values.name} is {found}, expected {expected}."
        )
