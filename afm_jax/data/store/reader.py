"""The prepared store: encoded rows by split, memory-mapped, with their schema.

Opening a store reads it and never writes. `writer` makes stores.
"""

import logging
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from afm_jax.data.store import arrays, version_1
from afm_jax.data.store.columns import OPTIONAL, columns
from afm_jax.data.store.folders import SCHEMA_FILE, find
from afm_jax.data.store.vocabularies import KNOWN_FILE, NO_VOCABULARIES, Vocabularies
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, Rows, Schema

COUNTS_FILE = "counts.npy"
FORMER_COUNTS_FILE = "former_counts.npy"
SPLITS = ("train", "validation", "test")

_CHECKED_BYTES = 1 << 28
"""Opening a store compares checksums of files of so many bytes, together."""

_COUNTED_ROWS = 1 << 16

_log = logging.getLogger(__name__)


UnseenValues = Mapping[int, np.ndarray]
"""The values that have no id, by the index of their field: int64 [M, 2], the row of each
within its split, rising, and its number. Equal values of a field have equal numbers, from
the field's vocab_size on."""


class Store(NamedTuple):
    """A data set ready to train from.

    Attributes:
        schema: how the columns became features.
        splits: 'train', 'validation' and perhaps 'test'.
        probabilities: float64 [N] for each split, the true probability of label 1,
            where the labels were drawn from a known model; else empty.
        unseen: the values without an id, for each split. A split is not there if they
            are not known, as in stores of version 1.
        stored_counts: `counts` as they were stored, or None.
        former_counts: the counts of the store that this one's rows are encoded like, int64
            [vocab_size]; None in a store that was fitted on its own training rows.
        vocabularies: the values that have ids of their own; empty where they are not
            known, as in synthetic data.
    """

    schema: Schema
    splits: Mapping[str, Rows]
    probabilities: Mapping[str, np.ndarray]
    unseen: Mapping[str, UnseenValues] = MappingProxyType({})
    stored_counts: np.ndarray | None = None
    vocabularies: Vocabularies = NO_VOCABULARIES
    former_counts: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """How many slots of the training rows hold each id, int64 [vocab_size].

        Slots with value 0, which only fill a multi-valued field up, do not count. The
        training rows of the store that this one is like are counted, too: a model that
        goes on from the old rows to the new ones has been trained on both.
        """
        if self.stored_counts is not None:
            return self.stored_counts
        counts = np.zeros(self.schema.vocab_size, np.int64)
        if self.former_counts is not None:
            counts += self.former_counts
        if "train" in self.splits:
            add_counts(counts, self.splits["train"])
        return counts

    def groups(self, split: str, field_name: str) -> np.ndarray:
        """Which rows of a split have the same raw value of a field.

        Args:
            split: name of the split.
            field_name: name of a field with one value a row.

        Returns:
            int64 [N], equal where the raw values are equal, also those that have no id;
            -1 where the value is missing. Where such values are not known (stores of
            version 1, unseen buckets), -1 for them, too.

        Raises:
            KeyError: no field has this name.
            InputError: a row can have several values of the field.
        """
        slot = self.schema.slot(field_name)
        index = self.schema.slot_fields[slot]
        field = self.schema.fields[index]
        if field.slots > 1:
            raise InputError(
                f"Field {field_name!r} can have several values a row; expected a field with one."
            )
        groups = self.splits[split].ids[:, slot].astype(np.int64) - field.offset
        groups[(groups == MISSING) | (groups == UNSEEN)] = -1
        unseen = self.unseen.get(split, {}).get(index)
        if unseen is not None:
            groups[unseen[:, 0]] = unseen[:, 1]
        return groups


def add_counts(counts: np.ndarray, rows: Rows) -> None:
    """Adds the ids of some rows to `counts`, int64 [vocab_size]; see `Store.counts`."""
    for start in range(0, len(rows.labels), _COUNTED_ROWS):
        part = slice(start, start + _COUNTED_ROWS)
        ids = rows.ids[part]
        # Ids outside of the tables, in damaged data, are told where they are used.
        counted = (ids >= 0) & (ids < len(counts))
        if rows.values is not None:
            counted &= rows.values[part] != 0
        np.add.at(counts, ids[counted], 1)


def require_rows(
    name: str, rows: Mapping[str, int], former_counts: np.ndarray | None
) -> None:
    """Raises InputError without training rows, unless another store has counted its own.

    Args:
        name: of the data set.
        rows: of each split.
        former_counts: see `Store.former_counts`.
    """
    if not rows or ("train" not in rows and former_counts is None):
        missing = "rows" if not rows else "rows for the training split"
        raise InputError(f"{name}: no {missing}.")


def open_store(data_dir: pathlib.Path, name: str) -> Store:
    """Opens a store that `preparation.builder.build` made; needs numpy only.

    Sizes of all files are compared with those at their making, and checksums of the
    smaller files, up to 256 MB in all. A log line says how much was not compared;
    `writer.verify` compares everything. A store of version 1 has no checksums.

    Args:
        data_dir: folder of all stores.
        name: name of the store.

    Returns:
        The store; its arrays are read-only and are read from disk as they are used.

    Raises:
        InputError: no such store or no name of one, it is damaged, or it is of records
            of version 1 alone.
        OSError: a file may not be read.
    """
    folder = find(data_dir, name)
    if folder.name == version_1.VERSION:
        return _open_version_1(folder)
    unchecked = arrays.check_files(
        folder, arrays.read_manifest(folder), checksum_bytes=_CHECKED_BYTES
    )
    if unchecked:
        _log.info(
            "%s: checksums of %.1f GB were not compared; python -m data.prepare --verify does.",
            folder,
            unchecked / 1e9,
        )
    return map_store(folder)


def map_store(folder: pathlib.Path) -> Store:
    """The store in a folder, whose files are as they were written.

    Raises:
        InputError: its arrays are not those of its schema.
    """
    schema = read_schema(folder)
    files = arrays.read_manifest(folder)
    splits, probabilities = {}, {}
    unseen: dict[str, dict[int, np.ndarray]] = {}
    for split, num_rows in schema.rows.items():
        found = {
            name: arrays.map_array(
                array_file(folder, split, name), (num_rows, *shape), dtype
            )
            for name, (dtype, shape) in columns(schema).items()
            if name not in OPTIONAL or f"{split}.{name}.npy" in files
        }
        splits[split] = Rows(**{"values": None, **found})  # type: ignore[arg-type]
        unseen[split] = {
            index: arrays.map_array(folder / name, (-1, 2), "<i8")
            for index in range(len(schema.fields))
            if (name := unseen_file(split, index)) in files
        }
        path = probabilities_file(folder, split)
        if path.name in files:
            probabilities[split] = arrays.map_array(path, (num_rows,), "<f8")
    counts = arrays.map_array(folder / COUNTS_FILE, (schema.vocab_size,), "<i8")
    known = Vocabularies(file=folder / KNOWN_FILE)
    store = Store(schema, splits, probabilities, unseen, counts, known)
    if FORMER_COUNTS_FILE in files:
        path = folder / FORMER_COUNTS_FILE
        former = arrays.map_array(path, (schema.vocab_size,), "<i8")
        store = store._replace(former_counts=former)
    return store


def array_file(folder: pathlib.Path, split: str, column: str) -> pathlib.Path:
    """The file of an array of `Rows`."""
    return folder / f"{split}.{column}.npy"


def unseen_file(split: str, index: int) -> str:
    """Name of the file of `UnseenValues` of a field."""
    return f"{split}.unseen.{index}.npy"


def probabilities_file(folder: pathlib.Path, split: str) -> pathlib.Path:
    """Where a builder keeps the true probabilities of a split, if it knows them."""
    return folder / f"{split}.probabilities.npy"


def read_schema(folder: pathlib.Path) -> Schema:
    """The schema of the store in a folder.

    Raises:
        InputError: it is damaged.
        OSError: it may not be read.
    """
    path = folder / SCHEMA_FILE
    try:
        schema = Schema.from_json(path.read_text(encoding="utf-8"))
        if not any(schema.rows.values()) or not schema.rows.keys() <= {*SPLITS}:
            raise ValueError(f"rows of the splits {', '.join(schema.rows) or 'none'}")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; prepare the data again.") from None
    except arrays.NOT_AS_WRITTEN as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
    return schema


def _open_version_1(folder: pathlib.Path) -> Store:
    schema = read_schema(folder)
    splits, probabilities = {}, {}
    for split, num_rows in schema.rows.items():
        found = version_1.map_split(folder, split, num_rows, columns(schema))
        splits[split] = Rows(**found)  # type: ignore[arg-type]
        path = probabilities_file(folder, split)
        if path.exists():
            probabilities[split] = arrays.map_array(path, (num_rows,), "<f8")
    _log.info(
        "%s is of version 1, whose files have no checksums; python -m data.prepare --upgrade makes a store of version 2.",
        folder,
    )
    known = Vocabularies(file=folder / KNOWN_FILE)
    return Store(schema, splits, probabilities, vocabularies=known)
