"""Rows as codes and numbers: what the kinds of fields count and encode."""

import bisect
from typing import NamedTuple

import numpy as np
import polars as pl


class Dictionary:
    """Codes 1, 2, ... for strings in the order in which they are met; 0 is none.

    May be used from several threads; the order is then any.
    """

    def __init__(self) -> None:
        self._categories = pl.Categories.random("afm_jax")
        # Categories live as long as a series of them.
        self._alive = pl.Series([], dtype=pl.Categorical(self._categories))

    def codes(self, strings: pl.Expr) -> pl.Expr:
        """UInt32 codes; a null gets 0."""
        return (strings.cast(self._alive.dtype).to_physical() + 1).fill_null(0)

    def strings(self) -> pl.Series:
        """The strings met so far: that of code c is at c - 1."""
        # Categories has no length, and its to_series goes through Python objects.
        size = bisect.bisect_left(
            range(1 << 32), True, key=lambda code: code not in self._categories
        )
        codes = pl.Series(np.arange(size, dtype=np.uint32))
        return codes.cat.to(self._alive.dtype).cast(pl.String)


class Many(NamedTuple):
    """A multi-valued column of N rows.

    Attributes:
        lengths: int32 [N], how many items each row has.
        codes: uint32 [sum of lengths], the items of all rows one after another.
        values: float32 [sum of lengths], or [0] if all are 1.
    """

    lengths: np.ndarray
    codes: np.ndarray
    values: np.ndarray


class Block(NamedTuple):
    """N rows as codes and numbers.

    Attributes:
        times: int64 or float64 [N], or [0] if the rows are in time order.
        labels: float32 [N].
        numbers: float64 [numeric columns, N], NaN where missing.
        codes: uint32 [categorical columns, N].
        values: float32 [categorical columns, N], or [0] if all are 1.
        many: the multi-valued columns.
    """

    times: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    many: tuple[Many, ...]
