"""Readers: raw files of one format to frames of named columns.

A reader is a module with `open_reader(paths, options) -> Reader` and the names of the
options it has, `OPTIONS`. It looks at the beginning of the files, or through them where only
all rows tell the columns. The rows come part by part, so that memory does not grow with the
file, and the parts are parsed in parallel.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from afm_jax.errors import InputError

if TYPE_CHECKING:
    import polars as pl

LABEL = "\0label"
"""Column of the labels in a frame: Float32, without nulls."""

WEIGHT = "\0weight"
"""Column of the rows' weights in a frame: Float32 >= 0; all 1 if not there."""

TIME = "\0time"
"""Column of times, if `Layout.order` is TIME: Int64 or Float64, without nulls."""

FILE = "\0file"
"""`Layout.order` of rows that are in time order in the files."""

KEPT = "\0kept "
"""Before the name of a column that is kept as it stands, beside what is made of it."""

VALUES = "\0values "
"""Before a column's name: its values x_i, Float32 or lists of it; all 1 if not there."""


class Option(NamedTuple):
    """An option of a preparation, as a flag and a key of the schema's options.

    Attributes:
        name: of the option.
        default: a number, a truth value, a text or None, or () for a list of texts.
        help: a sentence for those who choose.
        least: the smallest number that is accepted.
    """

    name: str
    default: Any
    help: str
    least: int = 0


class Column(NamedTuple):
    """A column of features in a frame.

    Attributes:
        name: the column's name.
        kind: 'categorical' (String), 'numeric' (Float64) or 'multi_valued' (lists of
            String without nulls). Null or NaN, or an empty list, is missing.
    """

    name: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """The columns of a source.

    Attributes:
        label: in words, which rows have label 1.
        columns: the feature columns, in order.
        order: TIME, FILE, or None if the order of the rows in time is not known.
        label_kind: what labels are for sure, of `label_kinds.LABEL_KINDS`.
    """

    label: str
    columns: tuple[Column, ...]
    order: str | None = None
    label_kind: str = "binary"

    def settings(self, kind: str, option: str, given: Sequence[str]) -> dict[str, str]:
        """What an option sets for the columns of a kind, by the names of the columns.

        Args:
            kind: of the columns.
            option: its name, for errors.
            given: 'VALUE' for all columns of the kind, or 'NAME:VALUE' for one.

        Raises:
            InputError: there is no such column.
        """
        names = [column.name for column in self.columns if column.kind == kind]
        found: dict[str, str] = {}
        for setting in sorted(given, key=lambda setting: ":" in setting):
            name, colon, value = setting.rpartition(":")
            if not names or (colon and name not in names):
                what = f"{kind} column {name!r}" if colon else f"{kind} columns"
                raise InputError(
                    f"--{option}={setting}: no {what}; there are {', '.join(names) or 'none'}."
                )
            found.update(dict.fromkeys([name] if colon else names, value))
        return found

    def whole_numbers(
        self, kind: str, option: str, given: Sequence[str], *, most: int | None = None
    ) -> dict[str, int]:
        """As `settings`, for an option whose values are whole numbers from 1 on.

        Args:
            kind: of the columns.
            option: its name, for errors.
            given: 'N' for all columns of the kind, or 'NAME:N' for one.
            most: the largest number that is accepted; None for any.

        Raises:
            InputError: there is no such column, or a value is no such number.
        """
        found = self.settings(kind, option, given)
        end = "on" if most is None else f"to {most:,}"
        for name, value in found.items():
            right = value.isdecimal() and int(value) >= 1
            if not right or (most is not None and int(value) > most):
                raise InputError(
                    f"--{option}: {value!r} for {name}, expected a whole number from 1 {end}."
                )
        return {name: int(value) for name, value in found.items()}


class Part(NamedTuple):
    """Some rows of a file, not parsed yet.

    Attributes:
        parse: gives the frame of the rows, or raises InputError; callable in any thread.
        taken: bytes of the file read when this part has been, to show how far we are.
    """

    parse: Callable[[], "pl.DataFrame"]
    taken: int


class Reader(NamedTuple):
    """A way to read files.

    Attributes:
        layout: the columns of the frames.
        parts: the rows of a file, in order.
        tables: other files that the reader has read.
        check: called once all rows are read, with the distinct texts of each column that is
            not numeric, by name; raises InputError if rows do not fit each other.
        names: gives the names of all columns of a file; None if files have no names.
        resolved: options that the files decide, such as the names that '*' stands for.
    """

    layout: Layout
    parts: Callable[[pathlib.Path], Iterator[Part]]
    tables: tuple[pathlib.Path, ...] = ()
    check: Callable[[Mapping[str, "pl.Series"]], None] | None = None
    names: Callable[[pathlib.Path], Sequence[str]] | None = None
    resolved: Mapping[str, Any] = MappingProxyType({})


Options = Mapping[str, Any]
