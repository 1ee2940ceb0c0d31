"""Records of a chunk one by one, slowly: for headers and errors."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

import numpy as np

from afm_jax.data.formats import encodings, escapes, quotes, text
from afm_jax.data.formats.dialect import Dialect
from afm_jax.errors import InputError


class Record(NamedTuple):
    """One record of a chunk.

    Attributes:
        line: number of its first line.
        stop: position of the line end that closes it.
        values: its values, without the quotes around them and with escapes undone.
    """

    line: int
    stop: int
    values: list[str]


def of(chunk: text.Chunk) -> Iterator[Record]:
    """The records of a chunk.

    Raises:
        InputError: bytes that are not UTF-8, or, when it is reached, a quote in the wrong place.
    """
    decode(chunk)
    data = chunk.text
    found = quotes.find(data, chunk.dialect.delimiter) if chunk.dialect.quoted else None
    line, start, values = chunk.first_line, 0, list[str]()
    for limit in np.flatnonzero(_limits(chunk, found)).tolist():
        if found and found.fault is not None and found.fault < limit:
            _refuse_quote(chunk, found, len(values) + 1)
        values.append(_value(data[start:limit], chunk))
        start = limit + 1
        if data[limit] == ord("\n"):
            yield Record(line, limit, values)
            line, values = line + 1 + "".join(values).count("\n"), []
    if found and start < len(data):
        _refuse_quote(chunk, found, len(values) + 1)


def width(path: pathlib.Path, dialect: Dialect) -> int:
    """How many values the first record of a file has."""
    first = next(of(next(text.chunks(path, dialect, chunk_bytes=1 << 16))))
    return len(first.values)


def where(chunk: text.Chunk, row: int) -> str:
    """The file and the line of a row of the frame of a chunk, for errors."""
    line = chunk.first_line + row
    if chunk.dialect.quoted:
        found = quotes.find(chunk.text, chunk.dialect.delimiter)
        outside = found.outside(chunk.text)
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
            f"{chunk.path} line {line}: byte 0x{chunk.text[error.start]:02x} is not UTF-8; expected UTF-8 text. {encodings.ADVICE}"
        ) from None


def _limits(chunk: text.Chunk, found: quotes.Quotes | None) -> np.ndarray:
    """bool [len(chunk.text)]: where values end."""
    array = np.frombuffer(chunk.text, np.uint8)
    limits = (array == ord(chunk.dialect.delimiter)) | (array == ord("\n"))
    return limits & found.outside(chunk.text) if found else limits


def _value(data: bytes, chunk: text.Chunk) -> str:
    value = data.decode()
    if chunk.dialect.quoted and value.startswith('"'):
        value = value[1:-1].replace('""', '"')
    if chunk.dialect.escape:
        value = escapes.show(value, chunk.dialect.delimiter)
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
    if chunk.text[found.fault - 1 : found.fault] == b"\\":
        advice += " --escape reads quotes behind a backslash."
    raise InputError(
        f"{chunk.path} line {line}, column {column}: {text.shown(behind)} stands behind the closing quote{since}; {advice}"
    )
