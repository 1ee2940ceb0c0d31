"""Encoded rows, as stores hold them and loaders take them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from afm_jax.features import Schema

OPTIONAL = ("values", "weights", "numbers")
"""The columns of `Rows` that may be None."""


class Rows(NamedTuple):
    """N encoded rows: of a split, or a block of one.

    Attributes:
        ids: int32 [N, S], global feature ids.
        values: float32 [N, S] or None (all ones).
        dense: float32 [N, D].
        labels: float32 [N], 0 or 1, or real numbers.
        weights: float32 [N] above 0, how much each row counts, or None (all ones).
        numbers: int64 [N], the number of each row in its source, from 0 over all files
            in the order of `Schema.source_rows`; None where it is not known.
    """

    ids: np.ndarray
    values: np.ndarray | None
    dense: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def take(self, positions: np.ndarray) -> "Rows":
        """The rows at int positions; of positions of several axes, all arrays have them."""
        return Rows(
            *(None if column is None else column.take(positions, 0) for column in self)  # type: ignore[arg-type]
        )

    def slice(self, start: int, stop: int) -> "Rows":
        """The rows from `start` to before `stop`, not copied."""
        return Rows(
            *(None if column is None else column[start:stop] for column in self)  # type: ignore[arg-type]
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Rows"]) -> "Rows":
        """The rows of all parts, which must have the same columns."""
        return cls(
            *(
                None if columns[0] is None else np.concatenate(columns)
                for columns in zip(*parts, strict=True)
            )  # type: ignore[arg-type]
        )


def columns(schema: Schema) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype of each array of `Rows`, and the shape of one row of it."""
    slots = sum(field.slots for field in schema.fields)
    return {
        "ids": ("<i4", (slots,)),
        "values": ("<f4", (slots,)),
        "dense": ("<f4", (len(schema.dense),)),
        "labels": ("<f4", ()),
        "weights": ("<f4", ()),
        "numbers": ("<i8", ()),
    }
