"""Lines of values between separators to a frame, with errors that name the line.

The fast way parses a chunk with polars and only counts separators; a chunk that is not
as it should be is gone through line by line, to say what is wrong where.
"""

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

import numpy as np
import polars as pl

from afm_jax.errors import InputError
from data import readers, text

KINDS = {
    "text": pl.String,
    "number": pl.Float64,
    "time": pl.Float64,
    "label": pl.Float64,
    "signed_label": pl.Float64,
}
"""What a column may hold: a time is a number and not missing, a label is
0 or 1, a signed label may be -1 for 0."""

_LABELS = {"label": (0.0, 1.0), "signed_label": (-1.0, 0.0, 1.0)}

_NUMBER = re.compile(
    r"\s*([-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?nan)", re.IGNORECASE | re.ASCII
)


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
        A frame of String and Float64 columns, empty values being null; labels become
        Float32, 0 or 1.

    Raises:
        InputError: bytes that are not UTF-8, a line with another number of columns,
            text or infinity where a number belongs, or a label that is none.
    """
    quoted = quoted and b'"' in chunk.text
    records, separators = _count(chunk.text, separator, quoted)
    problem = ""
    if separators == records * (len(columns) - 1):
        try:
            frame = pl.read_csv(
                chunk.text,
                has_header=False,
                schema={name: KINDS[kind] for name, kind in columns.items()},
                separator=separator,
                quote_char='"' if quoted else None,
            )
        except (pl.exceptions.ComputeError, pl.exceptions.SchemaError) as error:
            problem = str(error).split("\n")[0]
        else:
            if frame.height == records and _is_sound(frame, columns):
                return _finish(frame, columns, quoted)
    _explain(chunk, columns, separator, quoted, told, problem)


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


def _count(data: bytes, separator: str, quoted: bool) -> tuple[int, int]:
    """Number of records and of separators between values."""
    array = np.frombuffer(data, np.uint8)
    ends, separators = array == ord("\n"), array == ord(separator)
    if quoted:
        outside = text.outside_quotes(data)
        ends &= outside
        separators &= outside
    return int(np.count_nonzero(ends)), int(np.count_nonzero(separators))


def _is_sound(frame: pl.DataFrame, columns: Mapping[str, str]) -> bool:
    tests = []
    for name, kind in columns.items():
        if kind in _LABELS:
            tests.append(pl.col(name).is_in(_LABELS[kind]).fill_null(False).all())
        elif kind == "number":
            tests.append(~pl.col(name).is_infinite().any())
        elif kind == "time":
            tests.append(pl.col(name).is_finite().fill_null(False).all())
    return not tests or bool(frame.select(pl.all_horizontal(tests)).item())


def _finish(
    frame: pl.DataFrame, columns: Mapping[str, str], quoted: bool
) -> pl.DataFrame:
    changes = [
        (pl.col(name) > 0).cast(pl.Float32)
        for name, kind in columns.items()
        if kind in _LABELS
    ]
    if quoted:  # "" is read as empty text, unlike nothing
        changes += [
            pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)
            for name, kind in columns.items()
            if kind == "text"
        ]
    return frame.with_columns(changes)


def _explain(
    chunk: text.Chunk,
    columns: Mapping[str, str],
    separator: str,
    quoted: bool,
    told: str,
    problem: str,
) -> NoReturn:
    """Raises an InputError that names the first bad line of the chunk."""
    decoded = decode(chunk)
    expected = f"expected {len(columns)}" + (f" ({told})" if told else "")
    last = chunk.first_line
    for line, values in _records(decoded, separator, quoted):
        last = chunk.first_line + line
        where = f"{chunk.path} line {last}"
        if isinstance(values, csv.Error):
            raise InputError(f"{where} or after: {values}; expected CSV.")
        if len(values) != len(columns):
            count = f"{len(values)} column" + "s" * (len(values) != 1)
            raise InputError(f"{where}: {count}, {expected}.")
        for (name, kind), value in zip(columns.items(), values, strict=True):
            _check(where, name, kind, value)
    problem = problem or f"no lines of {len(columns)} columns"
    raise InputError(f"{chunk.path}, lines {chunk.first_line} to {last}: {problem}.")


def _records(
    decoded: str, separator: str, quoted: bool
) -> Iterator[tuple[int, list[str] | csv.Error]]:
    """Line, counted from 0, and values of every record, or the error that ends them."""
    if not quoted:
        for line, record in enumerate(decoded.removesuffix("\n").split("\n")):
            yield line, record.split(separator)
        return
    reader = csv.reader(
        io.StringIO(decoded, newline=""), delimiter=separator, strict=True
    )
    line = 0
    try:
        for values in reader:
            yield line, values or [""]
            line = reader.line_num
    except csv.Error as error:
        yield line, error


def _check(where: str, name: str, kind: str, value: str) -> None:
    named = "the label" if name == readers.LABEL else name
    number = float(value) if _NUMBER.fullmatch(value) else math.inf
    if kind in _LABELS and number not in _LABELS[kind]:
        choices = " or ".join(f"{label:.0f}" for label in _LABELS[kind])
        raise InputError(f"{where}: {named} is {value!r}, expected {choices}.")
    if kind == "time" and not math.isfinite(number):
        raise InputError(f"{where}: {named} is {value!r}, expected a time, a number.")
    if kind == "number" and value and math.isinf(number):
        raise InputError(f"{where}: {named} is {value!r}, expected a finite number.")
