"""How files of text write rows and values: one object that goes through their readers."""

import codecs
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from afm_jax.data.formats import Option
from afm_jax.errors import InputError

OPTIONS = (
    Option(
        "delimiter",
        None,
        "For csv, the character that stands between the values of a row: one ASCII character, or the word tab or space. If not given, a tab in files named .tsv and a comma in all others.",
    ),
    Option(
        "header",
        True,
        "For csv, whether the first row holds the names of the columns; true if not given. With --header=false, the first row is data, and the columns are named by their place: 0, 1, 2 and so on.",
    ),
    Option(
        "decimal",
        ".",
        "For csv, the character before the fraction of a number: a point, as in 1.5, or a comma, as in 1,5; a point if not given. If the delimiter is the same character, such numbers must stand in double quotes.",
    ),
    Option(
        "encoding",
        "utf-8",
        "For csv, libfm and libffm, the encoding of the files, any that Python knows, such as latin-1, cp1252 or utf-16; utf-8 if not given.",
    ),
    Option(
        "na_values",
        (),
        "For csv and parquet, values that count as missing besides the empty value and nan, such as NA,NULL. In parquet files they count among categories only.",
    ),
    Option(
        "escape",
        False,
        "For csv, whether a backslash before a double quote, the delimiter or another backslash makes it a character of the value; false if not given. Before other characters a backslash is always a character itself. Doubled quotes inside quotes are read in either case.",
    ),
)
"""What says how a CSV file is written, as options of a preparation."""

_DEFAULTS = {option.name: option.default for option in OPTIONS}

_DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " "}
_UTF_8 = ("utf-8", "utf-8-sig", "ascii")


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How a file of text writes rows and values.

    Attributes:
        delimiter: the ASCII character between the values of a row; '' for a tab in files
            named .tsv, and a comma in others.
        quoted: whether double quotes may enclose values, as in CSV.
        escape: whether a backslash before a double quote, the delimiter or a backslash
            makes it a character of the value.
        header: whether the first record holds the names of the columns. Without it,
            columns are named by their place: '0', '1', ...
        decimal: '.' or ',', the character before the fraction of a number.
        encoding: of the file, a name that Python knows; 'utf-8' for its subsets.
        na_values: values that are missing, besides those that always are.
    """

    delimiter: str = ""
    quoted: bool = False
    escape: bool = False
    header: bool = True
    decimal: str = "."
    encoding: str = "utf-8"
    na_values: tuple[str, ...] = ()

    @classmethod
    def of_csv(cls, options: Mapping[str, Any]) -> "Dialect":
        """The dialect of CSV files that the options describe, as far as they are given.

        Raises:
            InputError: a value that an option cannot have, or two that exclude each other.
        """
        given = {name: options.get(name, value) for name, value in _DEFAULTS.items()}
        if given["decimal"] not in (".", ","):
            raise InputError(f"--decimal={given['decimal']}, expected . or a comma.")
        dialect = cls(
            delimiter=_delimiter(given["delimiter"]),
            quoted=True,
            escape=given["escape"],
            header=given["header"],
            decimal=given["decimal"],
            encoding=encoding_of(options),
            na_values=tuple(given["na_values"]),
        )
        if dialect.escape and dialect.delimiter == "\\":
            raise InputError(
                "--escape and --delimiter=\\ exclude each other; expected another delimiter."
            )
        return dialect

    def of_file(self, path: pathlib.Path) -> "Dialect":
        """The dialect of one file, in which the delimiter is settled."""
        if self.delimiter:
            return self
        delimiter = "\t" if ".tsv" in path.suffixes else ","
        return dataclasses.replace(self, delimiter=delimiter)


def encoding_of(options: Mapping[str, Any]) -> str:
    """The option `encoding` as `Dialect.encoding`.

    Raises:
        InputError: it names no encoding of text.
    """
    name = options.get("encoding", _DEFAULTS["encoding"])
    try:
        found = codecs.lookup(name)
        "".encode(name)  # refuses encodings that are not of text
        codecs.getincrementaldecoder(name)
    except (LookupError, ValueError):
        raise InputError(
            f"--encoding={name} is no encoding of text; expected one that Python knows, such as utf-8, latin-1, cp1252 or utf-16."
        ) from None
    return "utf-8" if found.name in _UTF_8 else found.name


def shown(delimiter: str) -> str:
    """A delimiter as one writes it in a shell behind --delimiter=."""
    words = {sign: word for word, sign in _DELIMITERS.items() if word != "\\t"}
    return words.get(delimiter, f"'{delimiter}'")


def _delimiter(given: str | None) -> str:
    if given is None:
        return ""
    sign = _DELIMITERS.get(given, given)
    if len(sign) != 1 or not sign.isascii() or sign.isalnum() or sign in '"\n\r\0':
        raise InputError(
            f"--delimiter={given!r}, expected tab, space, or one ASCII character that is no letter, digit, double quote or line end."
        )
    return sign


LINES = Dialect()
"""Lines that no option describes."""

CSV = Dialect(quoted=True)
"""CSV files if no option is given."""
