"""Text files of any size, plain or gzipped, as chunks of whole lines."""

import codecs
import contextlib
import gzip
import pathlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np

from afm_jax.data.formats import quotes
from afm_jax.errors import InputError

CHUNK_BYTES = 8 << 20

_LONGEST_RECORD = 64 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_ENCODINGS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
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
        text: the lines, ending in a line end, which is b'\\n'.
        taken: bytes of the file, as it is on disk, read so far.
    """

    path: pathlib.Path
    first_line: int
    text: bytes
    taken: int

    def line(self, position: int) -> int:
        """The number of the line that holds the byte at this position of the text."""
        return self.first_line + self.text.count(b"\n", 0, position)


def chunks(
    path: pathlib.Path,
    *,
    csv_separator: str | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> Iterator[Chunk]:
    """Cuts a file into chunks of whole lines.

    Empty lines, or lines of blanks, at the end of the file are no rows: they are left out.

    Args:
        path: a text file in UTF-8 or another encoding that has ASCII's bytes for ASCII's
            characters; gzipped or not (its first bytes tell).
        csv_separator: what separates the values of a CSV file, in which line ends in
            double quotes are part of a value; None for other files.
        chunk_bytes: how many bytes to read at once.

    Raises:
        InputError: no such file, empty, a file of another format, a truncated or corrupt gzip, a record (usually: an
            open quote) of more than 64 MiB, or bytes that are not lines of text: UTF-16,
            a zero byte, a carriage return that ends a line alone, a byte order mark at the
            start of a later line.
    """
    line, more = 1, True
    with _opened(path) as (stream, raw):
        rest = _without_mark(_read(stream, 10, path, line), path)
        while more:
            block = _read(stream, chunk_bytes, path, line)
            more = bool(block)
            block = rest + (block or b"\n")
            end = _end_of_rows(block, csv_separator)
            if not more and block[end:].strip():
                end = len(block)  # the lines of a value that nothing closes
            text, rest = block[:end], block[end:]
            if text:
                chunk = _lines(Chunk(path, line, text, raw.tell()), csv_separator)
                yield chunk
                line = chunk.line(len(chunk.text))
            if len(rest) > _LONGEST_RECORD:
                _refuse_long(Chunk(path, line, rest, raw.tell()), csv_separator)
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


def _without_mark(head: bytes, path: pathlib.Path) -> bytes:
    """The beginning of a text file without the byte order mark of UTF-8."""
    for start, (what, advice) in _OTHER_FORMATS.items():
        if head.startswith(start):
            raise InputError(f"{path} is {what}; expected lines of text: {advice}.")
    for mark, encoding in _OTHER_ENCODINGS.items():
        if head.startswith(mark):
            raise InputError(
                f"{path} line 1: the text is in {encoding}; expected UTF-8. Convert it: iconv -f {encoding} -t UTF-8."
            )
    return head.removeprefix(codecs.BOM_UTF8)


def _end_of_rows(block: bytes, csv_separator: str | None) -> int:
    """Where the last whole line ends that is not blank, 0 if there is none."""
    if csv_separator and b'"' in block:
        found = quotes.find(block, csv_separator)
        end = quotes.last_line_end(block, found) + 1
    else:
        end = block.rfind(b"\n") + 1
    if block[max(end - 2, 0) : end].isspace():
        filled = len(block[:end].rstrip())
        return block.find(b"\n", filled) + 1 if filled else 0
    return end


def _lines(chunk: Chunk, csv_separator: str | None) -> Chunk:
    """The chunk with the line ends of Unix; refuses what is no text."""
    if b"\r" in chunk.text:
        chunk = chunk._replace(text=chunk.text.replace(b"\r\n", b"\n"))
        lone = _lone_carriage_return(chunk.text, csv_separator)
        if lone >= 0:
            raise InputError(
                f"{chunk.path} line {chunk.line(lone)}: a carriage return without a line feed; expected lines that end in \\n or \\r\\n. Convert it: tr '\\r' '\\n'."
            )
    if b"\0" in chunk.text:
        raise InputError(
            f"{chunk.path} line {chunk.line(chunk.text.index(0))}: a zero byte; expected UTF-8 text (UTF-16 and binary files have such bytes)."
        )
    lines = b"" if chunk.text.isascii() else b"\n" + chunk.text
    if (place := lines.find(b"\n" + codecs.BOM_UTF8)) >= 0:
        raise InputError(
            f"{chunk.path} line {chunk.line(place)}: a byte order mark inside the file; remove it, and the header of a file that was joined."
        )
    return chunk


def _lone_carriage_return(text: bytes, csv_separator: str | None) -> int:
    """Position of the first carriage return that is not part of a quoted value, or -1."""
    if csv_separator is None or b"\r" not in text:
        return text.find(b"\r")
    outside = quotes.find(text, csv_separator).outside(text)
    lone = outside & (np.frombuffer(text, np.uint8) == ord("\r"))
    return int(lone.argmax()) if lone.any() else -1


def _refuse_long(rest: Chunk, csv_separator: str | None) -> NoReturn:
    """Raises an InputError for a record that is longer than any that is read."""
    line, what = rest.first_line, "no line end"
    if csv_separator:
        opened = quotes.find(rest.text, csv_separator).unclosed(rest.text)
        if opened is not None:
            line, what = rest.line(opened), "a quote that nothing closes"
    raise InputError(
        f"{rest.path} line {line}: {what} within {_LONGEST_RECORD >> 20} MiB; expected lines of text."
    )
