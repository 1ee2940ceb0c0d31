"""Text files of any size, plain or gzipped, as chunks of whole lines."""

import codecs
import contextlib
import gzip
import pathlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np

from afm_jax.data.formats import encodings, escapes, quotes
from afm_jax.data.formats.dialect import LINES, Dialect
from afm_jax.errors import InputError

CHUNK_BYTES = 8 << 20

_LONGEST_RECORD = 64 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_FORMATS = {
    b"PAR1\x15": ("a Parquet file", "use --dataset=parquet"),
    b"ARROW1\0\0": ("an Arrow (Feather) file", "convert it to Parquet"),
    b"PK\3\4": ("a zip archive or an Excel workbook", "unpack it, or save it as CSV"),
    b"\x28\xb5\x2f\xfd": ("zipped by zstd", "unzip it, or zip it by gzip"),
    b"\xfd7zXZ\0": ("zipped by xz", "unzip it, or zip it by gzip"),
    b"BZh91AY&SY": ("zipped by bzip2", "unzip it, or zip it by gzip"),
    _GZIP_MAGIC: ("zipped twice", "unzip it once"),
}
"""How files begin that hold no text, what they are, and what to do with them.

So long that no text begins so: a column may be named PAR1.
"""


class Chunk(NamedTuple):
    """Some whole lines of a file.

    Attributes:
        path: the file.
        first_line: number of the first line, counted from 1.
        text: the lines in UTF-8, ending in a line end, which is b'\\n'. If the dialect
            has escapes, they are hidden (`escapes.hide`).
        taken: bytes of the file, as it is on disk, read so far.
        dialect: how the lines are written.
    """

    path: pathlib.Path
    first_line: int
    text: bytes
    taken: int
    dialect: Dialect = LINES

    def line(self, position: int) -> int:
        """The number of the line that holds the byte at this position of the text."""
        return self.first_line + self.text.count(b"\n", 0, position)


def chunks(
    path: pathlib.Path,
    dialect: Dialect = LINES,
    *,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Chunk]:
    """Cuts a file into chunks of whole lines.

    Empty lines, or lines of blanks, at the end of the file are no rows: they are left out.

    Args:
        path: a text file, gzipped or not (its first bytes tell).
        dialect: how it is written. If values may be quoted, line ends in double quotes
            are part of a value.
        chunk_bytes: how many bytes to read at once.

    Raises:
        InputError: no such file, empty, a file of another format or encoding, a truncated
            or corrupt gzip, a record (usually: an open quote) of more than 64 MiB, or
            bytes that are not lines of text: a zero byte, a carriage return that ends a
            line alone, a byte order mark at the start of a later line.
    """
    dialect = dialect.of_file(path)
    recode = encodings.recoder(path, dialect.encoding)
    line, rest, more = 1, b"", True
    with _opened(path) as (stream, raw):
        head = _read(stream, 10, path, line)
        _refuse_other_formats(head, path)
        encodings.refuse_other_mark(head, path, dialect.encoding)
        fresh = recode(head).removeprefix(codecs.BOM_UTF8)
        while more:
            block = _read(stream, chunk_bytes, path, line)
            more = bool(block)
            fresh += recode(block) + b"\n" * (not more)
            block = rest + fresh
            if b"\0" in fresh:
                _refuse_zero(Chunk(path, line, block, 0), len(rest))
            if dialect.escape:
                block = escapes.hide(block, dialect.delimiter)
            end = _end_of_rows(block, dialect)
            if not more and block[end:].strip():
                end = len(block)  # the lines of a value that nothing closes
            text, rest, fresh = block[:end], block[end:], b""
            if text:
                chunk = _lines(Chunk(path, line, text, raw.tell(), dialect))
                yield chunk
                line = chunk.line(len(chunk.text))
            if len(rest) > _LONGEST_RECORD:
                _refuse_long(Chunk(path, line, rest, raw.tell(), dialect))
    if line == 1:
        raise InputError(f"{path} is empty; expected rows of data.")


def shown(value: str) -> str:
    """A value as an error message shows it: in quotes, on one line, not too long."""
    return repr(value) if len(value) <= 80 else f"{value[:80]!r}..."


def checksum(path: pathlib.Path) -> str:
    """crc32 of a file's bytes, as 'crc32:' and eight hexadecimal digits."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return f"crc32:{crc:08x}"


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file's text, unzipped, and the file on disk."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    with raw:
        zipped = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        raw.seek(0)
        yield (gzip.GzipFile(fileobj=raw) if zipped else raw), raw  # type: ignore


def _read(stream: BinaryIO, size: int, path: pathlib.Path, line: int) -> bytes:
    try:
        return stream.read(size)
    except EOFError:
        broken = "ends in the middle (truncated)"
    except (gzip.BadGzipFile, zlib.error) as error:
        broken = f"is corrupt ({error})"
    place = f", somewhere after line {line - 1}" if line > 1 else ""
    raise InputError(f"{path}: this gzip file {broken}{place}; get it again.")


def _refuse_other_formats(head: bytes, path: pathlib.Path) -> None:
    for start, (what, advice) in _OTHER_FORMATS.items():
        if head.startswith(start):
            raise InputError(f"{path} is {what}; expected lines of text: {advice}.")


def _refuse_zero(chunk: Chunk, start: int) -> NoReturn:
    """Raises an InputError for the first zero byte from this position on."""
    line = chunk.line(chunk.text.index(0, start))
    raise InputError(
        f"{chunk.path} line {line}: a zero byte; expected text. UTF-16 has such bytes (--encoding=utf-16), and binary files have."
    )


def _end_of_rows(block: bytes, dialect: Dialect) -> int:
    """Where the last whole line ends that is not blank, 0 if there is none."""
    if dialect.quoted and b'"' in block:
        found = quotes.find(block, dialect.delimiter)
        end = quotes.last_line_end(block, found) + 1
    else:
        end = block.rfind(b"\n") + 1
    if block[max(end - 2, 0) : end].isspace():
        filled = len(block[:end].rstrip())
        return block.find(b"\n", filled) + 1 if filled else 0
    return end


def _lines(chunk: Chunk) -> Chunk:
    """The chunk with the line ends of Unix; refuses what is no text."""
    if b"\r" in chunk.text:
        chunk = chunk._replace(text=chunk.text.replace(b"\r\n", b"\n"))
        lone = _lone_carriage_return(chunk)
        if lone >= 0:
            raise InputError(
                f"{chunk.path} line {chunk.line(lone)}: a carriage return without a line feed; expected lines that end in \\n or \\r\\n. Convert it: tr '\\r' '\\n'."
            )
    lines = b"" if chunk.text.isascii() else b"\n" + chunk.text
    if (place := lines.find(b"\n" + codecs.BOM_UTF8)) >= 0:
        raise InputError(
            f"{chunk.path} line {chunk.line(place)}: a byte order mark inside the file; remove it, and the header of a file that was joined."
        )
    return chunk


def _lone_carriage_return(chunk: Chunk) -> int:
    """Position of the first carriage return that is not part of a quoted value, or -1."""
    text, dialect = chunk.text, chunk.dialect
    if not dialect.quoted or b"\r" not in text:
        return text.find(b"\r")
    outside = quotes.find(text, dialect.delimiter).outside(text)
    lone = outside & (np.frombuffer(text, np.uint8) == ord("\r"))
    return int(lone.argmax()) if lone.any() else -1


def _refuse_long(rest: Chunk) -> NoReturn:
    """Raises an InputError for a record that is longer than any that is read."""
    line, what = rest.first_line, "no line end"
    if rest.dialect.quoted:
        found = quotes.find(rest.text, rest.dialect.delimiter)
        opened = found.unclosed(rest.text)
        if opened is not None:
            line, what = rest.line(opened), "a quote that nothing closes"
    raise InputError(
        f"{rest.path} line {line}: {what} within {_LONGEST_RECORD >> 20} MiB; expected lines of text."
    )
