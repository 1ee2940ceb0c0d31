"""Text files of any size, plain or gzipped, as chunks of whole lines."""

import contextlib
import gzip
import pathlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from afm_jax.errors import InputError

CHUNK_BYTES = 8 << 20

_LONGEST_RECORD = 64 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


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


def chunks(
    path: pathlib.Path, *, quoted: bool = False, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk]:
    """Cuts a file into chunks of whole lines.

    Args:
        path: a text file, gzipped or not (its first bytes tell).
        quoted: whether line ends between double quotes are part of a value, as in CSV.
        chunk_bytes: how many bytes to read at once.

    Raises:
        InputError: no such file, empty, a truncated or corrupt gzip, or a record
            (usually: an open quote) of more than 64 MiB.
    """
    line, rest = 1, b""
    with _opened(path) as (stream, raw):
        while block := _read(stream, chunk_bytes, path, line):
            block = rest + block
            if line == 1:
                block = block.removeprefix(_BYTE_ORDER_MARK)
            end = _last_line_end(block, quoted)
            text, rest = block[:end], block[end:]
            if len(rest) > _LONGEST_RECORD:
                line += text.count(b"\n")
                what = "a quote that nothing closes" if quoted else "no line end"
                raise InputError(
                    f"{path} line {line}: {what} within {_LONGEST_RECORD >> 20} MiB; expected lines of text."
                )
            if text:
                yield Chunk(path, line, _unix(text), raw.tell())
                line += text.count(b"\n")
        if rest:
            yield Chunk(path, line, _unix(rest + b"\n"), raw.tell())
        elif line == 1:
            raise InputError(f"{path} is empty; expected rows of data.")


def outside_quotes(text: bytes) -> np.ndarray:
    """bool [len(text)]: whether each byte lies outside of double quotes."""
    quotes = np.frombuffer(text, np.uint8) == ord('"')
    return np.cumsum(quotes, dtype=np.uint8) & 1 == 0


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


def _last_line_end(block: bytes, quoted: bool) -> int:
    if not quoted or b'"' not in block:
        return block.rfind(b"\n") + 1
    ends = np.frombuffer(block, np.uint8) == ord("\n")
    outside = np.flatnonzero(ends & outside_quotes(block))
    return int(outside[-1]) + 1 if outside.size else 0


def _unix(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text
