"""The prepared store: encoded rows by split, memory-mapped, with their schema."""

import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import arrays

VERSION = "1.0.0"
"""Version of the layout of a prepared store."""

SCHEMA_FILE = "schema.json"
SPLITS = ("train", "validation", "test")


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


def check_name(name: str) -> None:
    """Raises InputError if no data set can have this name."""
    if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
        raise InputError(
            f"{name!r} is no name for a data set: expected small letters, digits and _, beginning with a letter."
        )


def names(data_dir: pathlib.Path) -> tuple[str, ...]:
    """The names of the stores in a folder, sorted."""
    found = pathlib.Path(data_dir).glob(f"*/{VERSION}/{SCHEMA_FILE}")
    return tuple(sorted(path.parent.parent.name for path in found))


def open_store(data_dir: pathlib.Path, name: str) -> Store:
    """Opens a store that `data.builder.build` made.

    The first time, its records become files that can be mapped into memory, and every
    row is checked against the schema; this needs the packages of the extra `data`.
    Later openings map the files, compare their sizes, and need numpy only.

    Args:
        data_dir: folder of all stores.
        name: name of the store.

    Returns:
        The store; its arrays are read-only and are read from disk as they are used.

    Raises:
        InputError: no such store or no name of one, it is damaged, or the extra is not
            installed.
    """
    check_name(name)
    folder = store_folder(data_dir, name)
    if not (folder / SCHEMA_FILE).is_file():
        there = ", ".join(names(data_dir)) or "none"
        raise InputError(
            f"No prepared data {name!r} in {data_dir}, where there are: {there}. Make it with python -m data.prepare."
        )
    schema = _read_schema(folder / SCHEMA_FILE)
    if not (folder / arrays.FOLDER).is_dir():
        arrays.convert(folder, schema)
    arrays.check_sizes(folder)
    splits, probabilities = {}, {}
    for split, num_rows in schema.rows.items():
        splits[split] = Rows(**arrays.map_split(folder, split, num_rows, schema))
        path = probabilities_file(folder, split)
        if path.exists():
            probabilities[split] = arrays.map_array(path, (num_rows,), "<f8")
    return Store(schema, splits, probabilities)


def probabilities_file(folder: pathlib.Path, split: str) -> pathlib.Path:
    """Where a builder keeps the true probabilities of a split, if it knows them."""
    return folder / f"{split}.probabilities.npy"


def _read_schema(path: pathlib.Path) -> Schema:
    try:
        return Schema.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
