"""Values that are wrong although their text can be read: who names the first of them."""

import itertools
from collections.abc import Callable, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import records, text
from afm_jax.errors import InputError

Refuse = Callable[[pl.Series, pl.Series, str], None]
"""(values of a column, which of them are wrong, what is expected) -> None; raises InputError,
which names the first wrong value with its file and line, if there is one."""


def in_chunk(chunk: text.Chunk, names: Sequence[str]) -> Refuse:
    """The way to name wrong values of a parsed chunk.

    Args:
        chunk: lines without a header.
        names: of all columns in the file, in order.
    """

    def refuse(values: pl.Series, wrong: pl.Series, expected: str) -> None:
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            found = next(itertools.islice(records.of(chunk), row, None))
            value = found.values[names.index(values.name)]
            named = "the label" if values.name == formats.LABEL else values.name
            raise InputError(
                f"{chunk.path} line {found.line}: {named} is {text.shown(value)}, expected {expected}."
            )

    return refuse
