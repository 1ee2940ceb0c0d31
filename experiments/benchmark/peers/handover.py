"""The rows that all sides train on, through a file. Needs NumPy alone."""

import pathlib
from typing import NamedTuple

import numpy as np


class Handover(NamedTuple):
    """N rows and the sizes of their fields.

    Attributes:
        ids: int32 [N, F], from 0 in every field.
        field_sizes: int64 [F], how many ids each field has; global ids, as this
            project has them, count on from field to field.
        dense: float32 [N, D].
        labels: float32 [N], 0 or 1.
    """

    ids: np.ndarray
    field_sizes: np.ndarray
    dense: np.ndarray
    labels: np.ndarray

    def global_ids(self) -> np.ndarray:
        """The rows of one table for all fields, int32 [N, F]."""
        offsets = np.cumsum(self.field_sizes) - self.field_sizes
        return self.ids + offsets.astype(np.int32)


def write(path: pathlib.Path, rows: Handover) -> None:
    """Writes the rows to an `.npz` file."""
    np.savez(path, **rows._asdict())


def read(path: pathlib.Path) -> Handover:
    """Reads what `write` wrote."""
    with np.load(path) as arrays:
        return Handover(**arrays)
