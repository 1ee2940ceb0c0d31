"""Columns of new rows that stay as they stand in the file, beside what is made of them."""

import dataclasses
from collections.abc import Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import delimited, text

ALL = "*"


def names(options: formats.Options, there: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns that are kept.

    Args:
        options: of the reader. The option 'kept' is there for rows that are to be
            predicted: the names of columns, and '*' for all.
        there: the names of all columns of the file.
    """
    kept = tuple(options.get("kept", ()))
    return tuple(dict.fromkeys(there if ALL in kept else kept))


def columns(
    chunk: text.Chunk, header: Mapping[str, str], names: Sequence[str]
) -> list[pl.Series]:
    """The columns of these names, as text; see `formats.KEPT`.

    Args:
        chunk: lines without a header.
        header: name and kind of every column in the file, in order.
        names: some of them.
    """
    if not names:
        return []
    dialect = dataclasses.replace(chunk.dialect, na_values=())
    kinds = {name: "raw" if name in names else "unused" for name in header}
    frame = delimited.parse(chunk._replace(dialect=dialect), kinds)
    return frame.select(names).get_columns()
