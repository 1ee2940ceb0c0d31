"""Lines of values between delimiters to a frame, with errors that name the line.

The fast way parses a chunk with polars and only counts delimiters; a chunk that is not
as it should be is gone through line by line, to say what is wrong where.
"""

import contextlib
import functools
import math
import re
from collections.abc import Mapping
from typing import NoReturn

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import escapes, missing, quotes, records, text
from afm_jax.data.formats.dialect import Dialect
from afm_jax.errors import InputError

KINDS = {
    "text": pl.String,
    "raw": pl.String,
    "number": pl.Float64,
    "time": pl.Float64,
    "whole": pl.Int64,
    "label": pl.Float64,
    "unused": pl.String,
}
"""What a column may hold: raw text is what stands there, whether or not it says that something
is missing; only text that is empty is null. A time is a number and not missing, a whole number is of 0 or more
and not missing, a label is 0 or 1.

Times of a chunk that are all whole become Int64, which tells nanoseconds apart. Others are
Float64, and below 2^53, from where on it does not tell whole numbers apart."""

_EXACT = 2**53

_NUMBER = re.compile(
    r"[ \t]*([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?nan)", re.IGNORECASE | re.ASCII
)
_NA_VALUES = ("NA", "N/A", "NULL", "Null", "null", "None", "\\N", "-", "?")
"""What others write for missing numbers."""

_WHOLE = re.compile(r"[ \t]*[-+]?0*\d{1,19}", re.ASCII)


def parse(
    chunk: text.Chunk, columns: Mapping[str, str], *, told: str = ""
) -> pl.DataFrame:
    """Parses a chunk, whose dialect says how.

    Args:
        chunk: lines without a header.
        columns: name and kind (a key of KINDS) of every column in the file, in order.
        told: the columns in words, for errors.

    Returns:
        A frame of String, Int64 and Float64 columns without the unused ones, missing values being
        null (of a number also NaN); labels become Float32, 0 or 1.

    Raises:
        InputError: bytes that are not UTF-8, a quote in the wrong place, a line with another
            number of columns, text or infinity where a number belongs, or a label that is none.
    """
    data, dialect, found = chunk.text, chunk.dialect, None
    if dialect.quoted and b'"' in data:
        found = quotes.find(data, dialect.delimiter)
    problem = ""
    if found is None or (found.fault is None and found.unclosed(data) is None):
        rows, delimiters = _count(data, dialect.delimiter, found)
        if delimiters == rows * (len(columns) - 1):
            try:
                frame = _read(data, columns, dialect, found)
                sound = frame.height == rows and _is_sound(frame, columns)
                if sound and not _has_points(data, columns, dialect, found):
                    return _finish(frame, columns, chunk)
            except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as error:
                problem = str(error).split("\n")[0]
    _explain(chunk, columns, told, problem)


def _count(data: bytes, delimiter: str, found: quotes.Quotes | None) -> tuple[int, int]:
    """Number of records and of delimiters between values."""
    array = np.frombuffer(data, np.uint8)
    ends, delimiters = array == ord("\n"), array == ord(delimiter)
    if found:
        outside = found.outside(data)
        ends &= outside
        delimiters &= outside
    return int(np.count_nonzero(ends)), int(np.count_nonzero(delimiters))


def _read(
    data: bytes,
    columns: Mapping[str, str],
    dialect: Dialect,
    found: quotes.Quotes | None,
) -> pl.DataFrame:
    if found and found.literals.size:  # which polars would take for mistakes
        data = quotes.quote_literals(data, found, dialect.delimiter)
    kinds = {name: KINDS[kind] for name, kind in columns.items()}
    times = [name for name, kind in columns.items() if kind == "time"]
    read = functools.partial(
        pl.read_csv,
        data,
        has_header=False,
        separator=dialect.delimiter,
        quote_char='"' if found else None,
        decimal_comma=dialect.decimal == ",",
        null_values=list(dialect.na_values) or None,
    )
    if times:
        with contextlib.suppress(pl.exceptions.ComputeError):
            return read(schema={**kinds, **dict.fromkeys(times, pl.Int64)})
    return read(schema=kinds)


def _has_points(
    data: bytes,
    columns: Mapping[str, str],
    dialect: Dialect,
    found: quotes.Quotes | None,
) -> bool:
    """Whether a number has a point where commas are decimal: 1.500 may be 1500."""
    numbers = [name for name, kind in columns.items() if KINDS[kind] == pl.Float64]
    if dialect.decimal == "." or b"." not in data or not numbers:
        return False
    texts = _read(data, dict.fromkeys(columns, "text"), dialect, found)
    pointed = pl.col(numbers).str.contains(".", literal=True).any()
    return bool(texts.select(pl.any_horizontal(pointed)).item())


def _is_sound(frame: pl.DataFrame, columns: Mapping[str, str]) -> bool:
    tests = []
    for name, kind in columns.items():
        if kind == "label":
            tests.append(pl.col(name).is_in([0.0, 1.0]).fill_null(False).all())
        elif kind == "number":
            tests.append(~pl.col(name).is_infinite().any())
        elif kind == "time":
            sound = pl.col(name).is_finite()
            if frame.schema[name] == pl.Float64:
                sound &= pl.col(name).abs() < _EXACT
            tests.append(sound.fill_null(False).all())
        elif kind == "whole":
            tests.append((pl.col(name) >= 0).fill_null(False).all())
    return not tests or bool(frame.select(pl.all_horizontal(tests)).item())


def _finish(
    frame: pl.DataFrame, columns: Mapping[str, str], chunk: text.Chunk
) -> pl.DataFrame:
    # Of text without such signs, polars has made all that is missing null.
    plain = not any(sign in chunk.text for sign in (b"n", b"N", b'"', b"\0"))
    dialect, finished = chunk.dialect, []
    for name, kind in columns.items():
        column = pl.col(name)
        if kind == "label":
            column = (column > 0).cast(pl.Float32)
        elif kind in ("text", "raw") and not plain:
            if dialect.escape:
                column = escapes.show_all(column, dialect.delimiter)
            if kind == "text":
                column = missing.without_missing(column, dialect.na_values)
        if kind != "unused":
            finished.append(column)
    return frame.select(finished)


def _explain(
    chunk: text.Chunk, columns: Mapping[str, str], told: str, problem: str
) -> NoReturn:
    """Raises an InputError that names the first bad line of the chunk."""
    expected = f"expected {len(columns)}" + (f" ({told})" if told else "")
    last = chunk.first_line
    for record in records.of(chunk):
        last, values = record.line, record.values
        place = f"{chunk.path} line {last}"
        if len(values) != len(columns):
            count = f"{len(values)} column" + "s" * (len(values) != 1)
            raise InputError(f"{place}: {count}, {expected}.")
        for (name, kind), value in zip(columns.items(), values, strict=True):
            wanted = _expected(kind, value, chunk.dialect)
            if wanted:
                named = "the label" if name == formats.LABEL else name
                raise InputError(
                    f"{place}: {named} is {text.shown(value)}, expected {wanted}.{_advice(kind, value, record.line, chunk.dialect)}"
                )
    if "time" in columns.values():
        problem = problem or "a time of 2^53 or more beside one with a fraction"
    problem = escapes.show(problem, chunk.dialect.delimiter)
    problem = problem or f"no lines of {len(columns)} columns"
    raise InputError(f"{chunk.path}, lines {chunk.first_line} to {last}: {problem}.")


def _is_int64(value: str) -> bool:
    whole = re.fullmatch(r" *([-+]?\d{1,19})", value, re.ASCII)
    return whole is not None and -(2**63) <= int(whole[1]) < 2**63


def _expected(kind: str, value: str, dialect: Dialect) -> str:
    """What a column of this kind holds, in words, '' if the value is that."""
    value = "" if value in dialect.na_values else value
    number = _number(value, dialect.decimal)
    if kind == "label" and number not in (0.0, 1.0):
        return "0 or 1"
    if kind == "time" and not (abs(number) < _EXACT or _is_int64(value)):
        return "a time, a number, or in all rows a date such as 2024-01-31"
    if kind == "number" and value.strip(" \t") and math.isinf(number):
        comma = " with a decimal comma and no points" if dialect.decimal == "," else ""
        return f"a finite number{comma}"
    if kind == "whole" and not (_WHOLE.fullmatch(value) and 0 <= int(value) < 1 << 63):
        return "a whole number of 0 or more"
    return ""


def is_number(value: str, decimal: str) -> bool:
    """Whether a text is a finite number."""
    return math.isfinite(_number(value, decimal))


def _number(value: str, decimal: str) -> float:
    """The number that a text is, infinity if it is none."""
    if decimal == ",":  # and a point is no sign of a number
        value = value.translate({ord("."): "x", ord(","): "."})
    return float(value) if _NUMBER.fullmatch(value) else math.inf


def _advice(kind: str, value: str, line: int, dialect: Dialect) -> str:
    """Which option may help with a value of a CSV file that is not as expected, if any."""
    if value in dialect.na_values:
        return " --na_values makes it missing."
    if line == 1 and not dialect.header:
        return " If line 1 holds names, leave out --header=false."
    if not dialect.quoted or kind not in ("number", "time"):
        return ""
    if value in _NA_VALUES and kind == "number":
        return f" --na_values={value} makes it missing."
    if dialect.decimal == "." and is_number(value, ","):
        return " --decimal=, reads it."
    return ""
