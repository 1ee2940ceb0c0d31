"""Encodings of text: block by block to UTF-8, and marks at the beginning of files."""

import codecs
import pathlib
from collections.abc import Callable

from afm_jax.errors import InputError

_MARKS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    codecs.BOM_UTF8: "UTF-8",
}
ADVICE = "csv, libfm and libffm take --encoding, such as latin-1 or cp1252; or convert the file by iconv."
"""What to do with text that is not UTF-8."""


def recoder(path: pathlib.Path, encoding: str) -> Callable[[bytes], bytes]:
    """Makes UTF-8 of the bytes of a file, a block at a time; b'' ends the file.

    UTF-8 itself stays as it is, and is checked where it is read.
    """
    return bytes if encoding == "utf-8" else _Recoder(path, encoding)


class _Recoder:
    """Makes UTF-8 of the bytes of a file, a block at a time.

    Args:
        path: the file, for errors.
        encoding: that of the file, a name that Python knows.
    """

    def __init__(self, path: pathlib.Path, encoding: str):
        self._path, self._encoding, self._line = path, encoding, 1
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def __call__(self, block: bytes) -> bytes:
        """The next bytes of the file in UTF-8; none end the file.

        Raises:
            InputError: bytes that are no text in the encoding.
        """
        try:
            text = self._decoder.decode(block, not block)
            coded = text.encode()
        except UnicodeError as error:
            raise InputError(
                f"{self._path} line {self._line + self._lines_before(block, error)}: bytes that are no text in {self._encoding}; give --encoding the encoding of the file."
            ) from None
        self._line += coded.count(b"\n")
        return coded

    def _lines_before(self, block: bytes, error: UnicodeError) -> int:
        """Line ends in a block before what cannot be read."""
        if isinstance(error, UnicodeEncodeError):
            return str(error.object).count("\n", 0, error.start)
        if not isinstance(error, UnicodeDecodeError):
            return 0
        kept = len(error.object) - len(block)  # bytes of earlier blocks
        try:
            good = block[: max(error.start - kept, 0)]
            return self._decoder.decode(good).count("\n")
        except UnicodeError:
            return 0


def refuse_other_mark(head: bytes, path: pathlib.Path, encoding: str) -> None:
    """Raises InputError if a file begins with the byte order mark of another encoding."""
    for mark, marked in _MARKS.items():
        if head.startswith(mark):
            if encoding.startswith(marked.lower()):
                return
            convert = f", or convert it: iconv -f {marked} -t UTF-8"
            raise InputError(
                f"{path} line 1: the text is in {marked}; expected {encoding}. Give --encoding={marked.lower()}{'' if marked == 'UTF-8' else convert}."
            )
