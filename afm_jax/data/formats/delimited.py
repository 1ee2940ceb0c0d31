"""Lines of values between separators to a frame, with errors that name the line.

The fast way parses a chunk with polars and only counts separators; a chunk that is not
as it should be is gone through line by line, to say what is wrong where.
"""

import contextlib
import functools
import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, NoReturn

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import missing, quotes, text
from afm_jax.errors import InputError

KINDS = {
    "text": pl.String,
    "number": pl.Float64,
    "time": pl.Float64,
    "whole": pl.Int64,
    "label": pl.Float64,
    "unused": pl.String,
}
"""What a column may hold: a time is a number and not missing, a whole number is of 0 or more
and not missing, a label is 0 or 1.

Times of a chunk that are all whole become Int64, which tells nanoseconds apart. Others are
Float64, and below 2^53, from where on it does not tell whole numbers apart."""

_EXACT = 2**53

_NUMBER = re.compile(
    r"[ \t]*([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?nan)", re.IGNORECASE | re.ASCII
)
_WHOLE = re.compile(r"[ \t]*[-+]?0*\d{1,19}", re.ASCII)


class Record(NamedTuple):
    """One record of a chunk.

    Attributes:
        line: number of its first line.
        stop: position of the line end that closes it.
        values: its values, without the quotes around them.
    """

    line: int
    stop: int
    values: list[str]


def parse(
    chunk: text.Chunk,
    columns: Mapping[str, str],
    *,
    separator: str,
    quoted: bool = False,
    told: str = "",
) -> pl.DataFrame:
    """Parses a chunk.

    Args:
        chunk: lines without a header.
        columns: name and kind (a key of KINDS) of every column in the file, in order.
        separator: one character.
        quoted: whether values may stand in double quotes, as in CSV.
        told: the columns in words, for errors.

    Returns:
        A frame of String, Int64 and Float64 columns without the unused ones, missing values being
        null (of a number also NaN); labels become Float32, 0 or 1.

    Raises:
        InputError: bytes that are not UTF-8, a quote in the wrong place, a line with another
            number of columns, text or infinity where a number belongs, or a label that is none.
    """
    found = None
    if quoted and b'"' in chunk.text:
        found = quotes.find(chunk.text, separator)
    problem = ""
    if found is None or (found.fault is None and found.unclosed(chunk.text) is None):
        records, separators = _count(chunk.text, separator, found)
        if separators == records * (len(columns) - 1):
            try:
                frame = _read(chunk.text, columns, separator, found)
            except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as error:
                problem = str(error).split("\n")[0]
            else:
                if frame.height == records and _is_sound(frame, columns):
                    return _finish(frame, columns, chunk.text)
    _explain(chunk, columns, separator, quoted, told, problem)


def records(chunk: text.Chunk, *, separator: str, quoted: bool) -> Iterator[Record]:
    """The records of a chunk one by one, slowly: for headers and errors.

    Raises:
        InputError: bytes that are not UTF-8, or, when it is reached, a quote in the wrong place.
    """
    decode(chunk)
    data = chunk.text
    found = quotes.find(data, separator) if quoted else None
    line, start, values = chunk.first_line, 0, list[str]()
    for limit in np.flatnonzero(_limits(data, separator, found)).tolist():
        if found and found.fault is not None and found.fault < limit:
            _refuse_quote(chunk, found, len(values) + 1)
        values.append(_value(data[start:limit], quoted))
        start = limit + 1
        if data[limit] == ord("\n"):
            yield Record(line, limit, values)
            line, values = line + 1 + "".join(values).count("\n"), []
    if found and start < len(data):
        _refuse_quote(chunk, found, len(values) + 1)


def where(chunk: text.Chunk, row: int, *, separator: str, quoted: bool = False) -> str:
    """The file and the line of a row of the frame of a chunk, for errors."""
    line = chunk.first_line + row
    if quoted:
        outside = quotes.find(chunk.text, separator).outside(chunk.text)
        ends = outside & (np.frombuffer(chunk.text, np.uint8) == ord("\n"))
        line = chunk.line(np.append(0, np.flatnonzero(ends) + 1)[row])
    return f"{chunk.path} line {line}"


def decode(chunk: text.Chunk) -> str:
    """The text of a chunk.

    Raises:
        InputError: bytes that are not UTF-8.
    """
    try:
        return chunk.text.decode()
    except UnicodeDecodeError as error:
        line = chunk.first_line + chunk.text.count(b"\n", 0, error.start)
        raise InputError(
            f"{chunk.path} line {line}: byte 0x{chunk.text[error.start]:02x} is not UTF-8; expected UTF-8 text."
        ) from None


def _limits(data: bytes, separator: str, found: quotes.Quotes | None) -> np.ndarray:
    """bool [len(data)]: where values end."""
    array = np.frombuffer(data, np.uint8)
    limits = (array == ord(separator)) | (array == ord("\n"))
    return limits & found.outside(data) if found else limits


def _value(data: bytes, quoted: bool) -> str:
    value = data.decode()
    if quoted and value.startswith('"'):
        return value[1:-1].replace('""', '"')
    return value


def _refuse_quote(chunk: text.Chunk, found: quotes.Quotes, column: int) -> NoReturn:
    """Raises an InputError for the first quote in the wrong place."""
    advice = 'a quote inside quotes must be doubled: "".'
    if found.fault is None:
        line = chunk.line(found.unclosed(chunk.text) or 0)
        raise InputError(
            f"{chunk.path} line {line}: a quote that nothing closes, in column {column}; {advice}"
        )
    line = chunk.line(found.fault)
    value = int(np.searchsorted(found.opens, found.fault, side="right")) - 1
    opened = chunk.line(int(found.opens[value]))
    since = f" of the value that opens in line {opened}" if opened < line else ""
    behind = chunk.text[found.fault + 1 :].split(b"\n", 1)[0].decode()
    raise InputError(
        f"{chunk.path} line {line}, column {column}: {text.shown(behind)} stands behind the closing quote{since}; {advice}"
    )


def _count(data: bytes, separator: str, found: quotes.Quotes | None) -> tuple[int, int]:
    """Number of records and of separators between values."""
    array = np.frombuffer(data, np.uint8)
    ends, separators = array == ord("\n"), array == ord(separator)
    if found:
        outside = found.outside(data)
        ends &= outside
        separators &= outside
    return int(np.count_nonzero(ends)), int(np.count_nonzero(separators))


def _read(
    data: bytes,
    columns: Mapping[str, str],
    separator: str,
    found: quotes.Quotes | None,
) -> pl.DataFrame:
    if found and found.literals.size:  # which polars would take for mistakes
        data = quotes.quote_literals(data, found, separator)
    kinds = {name: KINDS[kind] for name, kind in columns.items()}
    times = [name for name, kind in columns.items() if kind == "time"]
    read = functools.partial(
        pl.read_csv,
        data,
        has_header=False,
        separator=separator,
        quote_char='"' if found else None,
    )
    if times:
        with contextlib.suppress(pl.exceptions.ComputeError):
            return read(schema={**kinds, **dict.fromkeys(times, pl.Int64)})
    return read(schema=kinds)


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
    frame: pl.DataFrame, columns: Mapping[str, str], data: bytes
) -> pl.DataFrame:
    # Of text without an n or a quote, polars has made all that is missing null.
    whole_text = not any(sign in data for sign in (b"n", b"N", b'"'))
    finished = []
    for name, kind in columns.items():
        column = pl.col(name)
        if kind == "label":
            column = (column > 0).cast(pl.Float32)
        elif kind == "text" and not whole_text:
            column = missing.without_missing(column)
        if kind != "unused":
            finished.append(column)
    return frame.select(finished)


def _explain(
    chunk: text.Chunk,
    columns: Mapping[str, str],
    separator: str,
    quoted: bool,
    told: str,
    problem: str,
) -> NoReturn:
    """Raises an InputError that names the first bad line of the chunk."""
    expected = f"expected {len(columns)}" + (f" ({told})" if told else "")
    last = chunk.first_line
    for record in records(chunk, separator=separator, quoted=quoted):
        last, values = record.line, record.values
        place = f"{chunk.path} line {last}"
        if len(values) != len(columns):
            count = f"{len(values)} column" + "s" * (len(values) != 1)
            raise InputError(f"{place}: {count}, {expected}.")
        for (name, kind), value in zip(columns.items(), values, strict=True):
            _check(place, name, kind, value)
    if "time" in columns.values():
        problem = problem or "a time of 2^53 or more beside one with a fraction"
    problem = problem or f"no lines of {len(columns)} columns"
    raise InputError(f"{chunk.path}, lines {chunk.first_line} to {last}: {problem}.")


def _is_int64(value: str) -> bool:
    whole = re.fullmatch(r" *([-+]?\d{1,19})", value, re.ASCII)
    return whole is not None and -(2**63) <= int(whole[1]) < 2**63


def _check(place: str, name: str, kind: str, value: str) -> None:
    number = float(value) if _NUMBER.fullmatch(value) else math.inf
    expected = ""
    if kind == "label" and number not in (0.0, 1.0):
        expected = "0 or 1"
    if kind == "time" and not (abs(number) < _EXACT or _is_int64(value)):
        expected = "a time, a number, or in all rows a date such as 2024-01-31"
    if kind == "number" and value.strip(" \t") and math.isinf(number):
        expected = "a finite number"
    if kind == "whole" and not (_WHOLE.fullmatch(value) and 0 <= int(value) < 1 << 63):
        expected = "a whole number of 0 or more"
    if expected:
        named = "the label" if name == formats.LABEL else name
        raise InputError(
            f"{place}: {named} is {text.shown(value)}, expected {expected}."
        )
