"""The prepared store: encoded rows by split, memory-mapped, with their schema."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from afm_jax.features import Schema

VERSION = "1.0.0"
"""Version of the layout of a prepared store."""

SCHEMA_FILE = "schema.json"


class Rows(NamedTuple):
    """N encoded rows: of a split, or a block of one.

    Attributes:
        ids: int32 [N, S], global feature ids.
        values: float32 [N, S] or None (all ones).
        dense: float32 [N, D].
        labels: float32 [N], 0 or 1.
    """

    ids: np.ndarray
    values: np.ndarray | None
    dense: np.ndarray
    labels: np.ndarray


class Store(NamedTuple):
    """A data set ready to train from.

    Attributes:
        schema: how the columns became features.
        splits: 'train', 'validation' and perhaps 'test'.
        probabilities: float64 [N] for each split, the true probability of label 1,
            where the labels were drawn from a known model; else empty.
    """

    schema: Schema
    splits: Mapping[str, Rows]
    probabilities: Mapping[str, np.ndarray]


def store_folder(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """The folder of the store of this name."""
    return pathlib.Path(data_dir) / name / VERSION
