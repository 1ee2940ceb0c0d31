"""Writing a store, block by block, and checking one as a whole."""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from afm_jax.data.progress import Advance, silent
from afm_jax.data.store import arrays, folders, reader, version_1
from afm_jax.data.store.checks import check_rows, check_unseen
from afm_jax.data.store.columns import columns
from afm_jax.data.store.reader import SPLITS, UnseenValues
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, Rows, Schema
from afm_jax.label_kinds import narrowest_kind

_CHECKED_ROWS = 1 << 16


class Block(NamedTuple):
    """Some encoded rows of a split.

    Attributes:
        split: 'train', 'validation' or 'test'.
        rows: the rows, those of a split in their order, block after block.
        unseen: their values without an id; the rows in it are counted within the block.
        missing: how many of the rows have no number, by the names of dense columns.
    """

    split: str
    rows: Rows
    unseen: UnseenValues = MappingProxyType({})
    missing: Mapping[str, int] = MappingProxyType({})


class Written(NamedTuple):
    """A store that has been written.

    Attributes:
        schema: as it was written.
        unseen: for each split and field, the share of its values that are unseen or
            rare; shares of 0 are left out.
        missing: in the same way, the share of the rows without a value; also of numbers,
            by the names of the dense columns.
    """

    schema: Schema
    unseen: dict[str, dict[str, float]]
    missing: dict[str, dict[str, float]]


def write(
    folder: pathlib.Path,
    schema: Schema,
    blocks: Iterable[Block],
    former_counts: np.ndarray | None = None,
) -> Written:
    """Writes schema, arrays and manifest of a store into a folder.

    Memory does not grow with the number of rows. Other files in the folder, such as
    vocabularies, become part of the store.

    Args:
        folder: an existing folder.
        schema: how columns became features; row counts are filled in, the mean of the
            training labels if there are any, and the kind of the labels: the narrowest
            that holds them, or the schema's if that is wider.
        blocks: the rows, splits in any order and interleaved.
        former_counts: see `Store.former_counts`; there need be no training rows then.

    Raises:
        InputError: rows that do not agree with the schema, or no training rows.
    """
    writer = _Writer(folder, schema)
    with contextlib.closing(writer):
        for block in blocks:
            writer.add(block)
    reader.require_rows(schema.dataset, writer.num_rows, former_counts)
    if former_counts is not None:
        np.save(folder / reader.FORMER_COUNTS_FILE, former_counts)
        writer.counts += former_counts
    np.save(folder / reader.COUNTS_FILE, writer.counts)
    rows = {
        split: writer.num_rows[split] for split in SPLITS if split in writer.num_rows
    }
    schema = dataclasses.replace(
        schema, rows=rows, label_mean=writer.label_mean, label_kind=writer.label_kind
    )
    (folder / folders.SCHEMA_FILE).write_text(schema.to_json(), encoding="utf-8")
    arrays.write_manifest(folder)
    return Written(schema, *writer.shares())


class _Writer:
    """The files of a store while blocks are added."""

    def __init__(self, folder: pathlib.Path, schema: Schema):
        self._folder, self._schema = folder, schema
        self._columns = columns(schema)
        # The first id of the field of each slot.
        self._first = np.array(
            [schema.fields[index].offset for index in schema.slot_fields], np.int32
        )
        self._files: dict[str, dict[str, arrays.ArrayFile]] = {}
        self._unseen: dict[str, arrays.ArrayFile] = {}
        self._label_sum = self._weight_sum = 0.0
        self._special: dict[str, np.ndarray] = {}
        self._missing: dict[str, collections.Counter[str]] = {}
        self.label_kind = schema.label_kind
        self.num_rows: dict[str, int] = {}
        self.counts = np.zeros(schema.vocab_size, np.int64)

    @property
    def label_mean(self) -> float | None:
        """Weighted mean of the training labels, with 12 significant digits.

        Rounded, so that it does not show in which blocks the rows came. Without training
        rows it is that of the schema.
        """
        if "train" not in self.num_rows:
            return self._schema.label_mean
        return float(f"{self._label_sum / self._weight_sum:.12g}")

    def add(self, block: Block) -> None:
        split, rows = block.split, block.rows
        if split not in SPLITS:
            raise ValueError(f"split {split!r}, expected one of {SPLITS}")
        if not len(rows.labels):
            return
        start = self.num_rows.get(split, 0)
        told = f"{split} rows {start} to {start + len(rows.labels)}"
        check_rows(rows, self._schema, told)
        files = self._files_of(split, rows, told)
        for name, file in files.items():
            file.append(getattr(rows, name))
        self._add_unseen(split, block.unseen, start)
        self.num_rows[split] = start + len(rows.labels)
        self.label_kind = narrowest_kind(rows.labels, least=self.label_kind)
        special = self._special.setdefault(split, np.zeros((3, len(self._first)), int))
        special += _count_special(rows, self._first)
        self._missing.setdefault(split, collections.Counter()).update(block.missing)
        if split == "train":
            reader.add_counts(self.counts, rows)
            weights = (
                np.ones(len(rows.labels)) if rows.weights is None else rows.weights
            )
            self._label_sum += float(np.dot(weights, rows.labels.astype(np.float64)))
            self._weight_sum += float(np.sum(weights, dtype=np.float64))

    def shares(self) -> tuple[dict[str, dict[str, float]], ...]:
        """`Written.unseen` and `Written.missing`."""
        slots = np.array(self._schema.slot_fields)
        found: tuple[dict[str, dict[str, float]], ...] = ({}, {})
        for split, special in self._special.items():
            for index, field in enumerate(self._schema.fields):
                values, unseen, missing = special[:, slots == index].sum(axis=1)
                for kind, count in zip(found, (unseen, missing), strict=True):
                    if count:
                        kind.setdefault(split, {})[field.name] = float(count / values)
            for name, count in self._missing[split].items():
                if count:
                    found[1].setdefault(split, {})[name] = count / self.num_rows[split]
        return found

    def close(self) -> None:
        """Closes all files, whatever happens to one of them."""
        with contextlib.ExitStack() as stack:
            for files in (self._unseen, *self._files.values()):
                for file in files.values():
                    stack.callback(file.close)

    def _files_of(
        self, split: str, rows: Rows, told: str
    ) -> dict[str, arrays.ArrayFile]:
        there = [name for name in self._columns if getattr(rows, name) is not None]
        if split not in self._files:
            self._files[split] = {
                name: arrays.ArrayFile(
                    reader.array_file(self._folder, split, name), *self._columns[name]
                )
                for name in there
            }
        if list(self._files[split]) != there:
            raise InputError(
                f"{told}: columns {', '.join(there)}, but {', '.join(self._files[split])} in the rows before."
            )
        return self._files[split]

    def _add_unseen(self, split: str, unseen: UnseenValues, start: int) -> None:
        for index, found in unseen.items():
            if not len(found):
                continue
            name = reader.unseen_file(split, index)
            if name not in self._unseen:
                self._unseen[name] = arrays.ArrayFile(self._folder / name, "<i8", (2,))
            self._unseen[name].append(found + np.array([start, 0]))


def _count_special(rows: Rows, first: np.ndarray) -> np.ndarray:
    """int [3, S]: slots that hold a value, an unseen one, and a missing one."""
    used = np.ones(rows.ids.shape, bool) if rows.values is None else rows.values != 0
    return np.stack(
        [
            used.sum(axis=0),
            (used & (rows.ids == first + UNSEEN)).sum(axis=0),
            (used & (rows.ids == first + MISSING)).sum(axis=0),
        ]
    )


def verify(
    data_dir: pathlib.Path, name: str, *, advance: Advance = silent
) -> dict[str, Any]:
    """Compares every byte and every row of a store with what was written.

    Args:
        data_dir: folder of all stores.
        name: name of the store.
        advance: told how much has been compared.

    Returns:
        'dataset', 'version', 'rows' by split, and 'checksums', whether there are any:
        stores of version 1 have none.

    Raises:
        InputError: no such store, or it is damaged.
    """
    folder = folders.find(data_dir, name)
    checksums = folder.name != version_1.VERSION
    if checksums:
        files = arrays.read_manifest(folder)
        total = sum(entry["bytes"] for entry in files.values()) / 1e6
        for path, entry in files.items():
            arrays.check_files(folder, {path: entry}, checksum_bytes=None)
            advance("checksums", entry["bytes"] / 1e6, total, "MB")
    found = reader.map_store(folder) if checksums else reader.open_store(data_dir, name)
    schema = found.schema
    num_rows = sum(schema.rows.values())
    for split, rows in found.splits.items():
        for start in range(0, len(rows.labels), _CHECKED_ROWS):
            part = rows.slice(start, start + _CHECKED_ROWS)
            check_rows(part, schema, f"{folder}: {split} rows from {start}")
            advance("rows", len(part.labels), num_rows, "rows")
        for index, unseen in found.unseen.get(split, {}).items():
            check_unseen(unseen, rows, index, schema, f"{folder}: {split}")
    recounted = found._replace(stored_counts=None).counts
    if not np.array_equal(recounted, found.counts):
        raise InputError(
            f"{folder / reader.COUNTS_FILE} does not hold the counts of the training rows; prepare the data again."
        )
    return {
        "dataset": name,
        "version": folder.name,
        "rows": dict(schema.rows),
        "checksums": checksums,
    }
