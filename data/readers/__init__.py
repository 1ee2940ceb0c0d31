"""Readers: raw files of one format to frames of named columns.

A reader is a module with `open_reader(paths, options) -> Reader` and the names of the
options it has, `OPTIONS`. It looks at the beginning of the files at most; the rows come part by part, so that memory does not grow
with the file, and the parts are parsed in parallel.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl

LABEL = "\0label"
"""Column of the labels in a frame: Float32, 0 or 1, without nulls."""

TIME = "\0time"
"""Column of times, if `Layout.order` is TIME: Int64 or Float64, without nulls."""

FILE = "\0file"
"""`Layout.order` of rows that are in time order in the files."""

VALUES = "\0values "
"""Before a column's name: its values x_i, Float32 or lists of it; all 1 if not there."""


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
    """

    label: str
    columns: tuple[Column, ...]
    order: str | None = None


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
    """

    layout: Layout
    parts: Callable[[pathlib.Path], Iterator[Part]]
    tables: tuple[pathlib.Path, ...] = ()
    check: Callable[[Mapping[str, "pl.Series"]], None] | None = None


Options = Mapping[str, Any]
