"""Rows as codes and numbers: what the kinds of fields count and encode."""

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    import polars as pl


class Coder(Protocol):
    """Gives codes to the texts of a column; may be used from several threads."""

    def codes(self, strings: "pl.Expr") -> "pl.Expr":
        """UInt32 codes from 1 on; a null gets 0."""

    def strings(self) -> "pl.Series":
        """The texts met so far, that of code c at c - 1; none if they are not kept."""


class KnownCoder:
    """A `Coder` of values that are known: that of values[i] is i + 1, and all others share one.

    Args:
        values: String, distinct, without nulls.
    """

    def __init__(self, values: "pl.Series"):
        self._values = values

    def codes(self, strings: "pl.Expr") -> "pl.Expr":
        import polars as pl

        known = strings.cast(pl.Enum(self._values), strict=False).to_physical()
        other = pl.lit(len(self._values), pl.UInt32)
        codes = known.cast(pl.UInt32).fill_null(other) + 1
        return pl.when(strings.is_not_null()).then(codes).otherwise(0).cast(pl.UInt32)

    def strings(self) -> "pl.Series":
        return self._values


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
        weights: float32 [N] >= 0, or [0] if all are 1.
        numbers: float64 [numeric columns, N], NaN where missing.
        codes: uint32 [categorical columns, N].
        values: float32 [categorical columns, N], or [0] if all are 1.
        many: the multi-valued columns.
    """

    times: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    numbers: np.ndarray
    codes: np.ndarray
    values: np.ndarray
    many: tuple[Many, ...]

    @property
    def weighted(self) -> bool:
        """Whether any column has values."""
        return self.values.size > 0 or any(each.values.size for each in self.many)

    def write_values(self, index: int, values: np.ndarray | None) -> None:
        """Writes the values of a categorical column into float32 [N, 1], ones so far."""
        if values is not None and self.values.size:
            # Nothing is there to be weighed where the column is missing.
            values[:, 0] = np.where(self.codes[index] > 0, self.values[index], 1)
