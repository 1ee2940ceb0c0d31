"""Encoders of columns of strings, and what the encoders of all fields have in common.

An encoder is told all training rows block by block (`count`), then makes its field
(`fit`), and from then on writes the ids of a block (`write`).
"""

import logging
import zlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, Field
from data import readers
from data.spill import Block, Dictionary

FIRST = 2
"""The first id of a field that stands for a value of its own."""


_FEW_SLOTS = 32
_FILLED = 1 / 8
"""A column with more slots than the first, of which a smaller part is filled, is told."""

_SLOT_BYTES = 8  # an int32 id and a float32 value

_log = logging.getLogger(__name__)


class Vocabulary(NamedTuple):
    """The values of a field that have ids of their own; `values[i]` has offset + 2 + i.

    Attributes:
        values: strings by falling count, equal counts by value.
        counts: int64, how often each occurs in the training split.
    """

    values: pl.Series
    counts: pl.Series

    @property
    def crc32(self) -> int:
        """Checksum of the values in id order."""
        crc = 0
        for start in range(0, len(self.values), 65536):
            part = self.values.slice(start, 65536).to_list()
            crc = zlib.crc32("".join(f"{value}\0" for value in part).encode(), crc)
        return crc


class Encoder(Protocol):
    """What the encoders of fields have in common."""

    vocabulary: Vocabulary | None

    def count(self, block: Block, train: np.ndarray) -> None:
        """Takes note of the training rows of a block, whose indices are `train`."""

    def fit(self, offset: int, min_count: int) -> Field:
        """The field, whose ids begin at `offset`.

        Raises:
            InputError: no training row has a value.
        """

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        """Writes into int32 ids [N, slots] and float32 values [N, slots], ones so far."""


class Categorical:
    """A column of strings; see `Encoder`."""

    vocabulary: Vocabulary | None = None

    def __init__(self, name: str, index: int, dictionary: Dictionary):
        self._name, self._index = name, index
        self._strings = _strings(name, dictionary)
        self._counts = np.zeros(len(self._strings) + 1, np.int64)

    def count(self, block: Block, train: np.ndarray) -> None:
        np.add.at(self._counts, block.codes[self._index].take(train), 1)

    def fit(self, offset: int, min_count: int) -> Field:
        field, self.vocabulary, self._ids = fit_strings(
            self._name, offset, min_count, self._strings, self._counts
        )
        return field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        codes = block.codes[self._index]
        ids[:, 0] = self._ids.take(codes)
        if values is not None and block.values.size:
            # Nothing is there to be weighed where the column is missing.
            values[:, 0] = np.where(codes > 0, block.values[self._index], 1)


class MultiValued:
    """A column of lists of strings; see `Encoder`.

    It has as many slots as the longest list of a training row has items, but at most
    `max_slots`, if that is given. Of longer lists the first items are kept; the others
    are lost, and do not count. So slots, too, depend on training rows only. Unused slots
    have the id of missing and value 0; an empty list is missing with value 1.
    """

    vocabulary: Vocabulary | None = None

    def __init__(
        self,
        name: str,
        index: int,
        dictionary: Dictionary,
        max_slots: int | None = None,
    ):
        self._name, self._index, self._max_slots = name, index, max_slots
        self._strings = _strings(name, dictionary)
        self._counts = np.zeros(len(self._strings) + 1, np.int64)
        self._rows = np.zeros(1, np.int64)  # how many have lists of 0, 1, ... items

    def count(self, block: Block, train: np.ndarray) -> None:
        many = block.many[self._index]
        chosen = np.zeros(len(many.lengths), bool)
        chosen[train] = True
        kept = np.repeat(chosen, many.lengths)
        if self._max_slots is not None:
            starts = np.cumsum(many.lengths) - many.lengths
            position = np.arange(len(kept)) - np.repeat(starts, many.lengths)
            kept &= position < self._max_slots
        np.add.at(self._counts, many.codes[kept], 1)
        rows = np.bincount(many.lengths.take(train), minlength=len(self._rows))
        rows[: len(self._rows)] += self._rows
        self._rows = rows

    def fit(self, offset: int, min_count: int) -> Field:
        longest = len(self._rows) - 1
        self._slots = max(1, min(longest, self._max_slots or longest))
        self._warn_of_empty_slots()
        field, self.vocabulary, self._ids = fit_strings(
            *(self._name, offset, min_count, self._strings, self._counts),
            slots=self._slots,
        )
        return field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        many = block.many[self._index]
        starts = np.cumsum(many.lengths) - many.lengths
        ids[:] = self._ids[0]
        for slot in range(self._slots):
            rows = np.flatnonzero(many.lengths > slot)
            items = starts[rows] + slot
            ids[rows, slot] = self._ids.take(many.codes[items])
            if values is not None:
                values[:, slot] = 0 if slot else many.lengths == 0
                values[rows, slot] = many.values[items] if many.values.size else 1

    def _warn_of_empty_slots(self) -> None:
        """Logs a line if few long lists make all rows far wider than most need."""
        rows = int(self._rows.sum())
        lengths = np.arange(len(self._rows))
        items = int(self._rows @ lengths.clip(max=self._slots))
        filled = items / (rows * self._slots)
        if self._slots <= _FEW_SLOTS or filled >= _FILLED:
            return
        typical = int(np.searchsorted(np.cumsum(self._rows), 0.9 * rows))
        _log.warning(
            "Column %r: the longest training list has %d items, and 9 of 10 have at most %d. Every row takes %d slots, which makes %.0f MB for the training rows, and %.2g%% of the slots are filled. --max_slots=%s:N keeps the first N items of a list.",
            *(self._name, lengths[-1], typical, self._slots),
            *(rows * self._slots * _SLOT_BYTES / 1e6, 100 * filled, self._name),
        )


def slot_limits(layout: readers.Layout, max_slots: Sequence[str]) -> dict[str, int]:
    """How many items of a list are kept, for multi-valued columns by name.

    Args:
        layout: the columns.
        max_slots: 'N' for all multi-valued columns, or 'NAME:N' for one.

    Raises:
        InputError: no such multi-valued column, or no number from 1 on.
    """
    limits = layout.settings("multi_valued", "max_slots", max_slots)
    for name, limit in limits.items():
        if not limit.isdecimal() or int(limit) < 1:
            raise InputError(
                f"--max_slots: {limit!r} for {name}, expected a whole number from 1 on."
            )
    return {name: int(limit) for name, limit in limits.items()}


def _strings(name: str, dictionary: Dictionary) -> pl.Series:
    """The values of a column; logs a line if numbers are there in two forms."""
    strings = dictionary.strings()
    floats = strings.filter(strings.str.ends_with(".0")).str.strip_suffix(".0")
    twice = floats.filter(floats.str.contains(r"^-?\d+$") & floats.is_in(strings))
    if len(twice):
        _log.warning(
            "Column %r holds both '%s' and '%s.0', and %d other whole numbers in two forms; each form counts as a value of its own. Write numbers in one form.",
            *(name, twice[0], twice[0], len(twice) - 1),
        )
    return strings


def fit_strings(
    name: str,
    offset: int,
    min_count: int,
    strings: pl.Series,
    counts: np.ndarray,
    *,
    kind: str = "categorical",
    slots: int = 1,
) -> tuple[Field, Vocabulary, np.ndarray]:
    """Field, vocabulary and the id of each code; `counts` are those of the codes."""
    if not counts[1:].any():
        raise always_missing(name)
    known = np.flatnonzero(counts[1:] >= max(min_count, 1))
    table = pl.DataFrame(
        {
            "value": strings.gather(known),
            "count": counts[1:][known],
            "code": known + 1,
        }
    ).sort(["count", "value"], descending=[True, False])
    vocabulary = Vocabulary(table["value"], table["count"])
    ids = np.full(len(counts), offset + UNSEEN, np.int32)
    ids[0] = offset + MISSING
    ids[table["code"].to_numpy()] = offset + FIRST + np.arange(table.height)
    field = Field(
        name=name,
        kind="multi_valued" if slots > 1 else kind,
        vocab_size=FIRST + table.height,
        offset=offset,
        slots=slots,
        vocabulary_crc32=vocabulary.crc32,
    )
    return field, vocabulary, ids


def always_missing(name: str) -> InputError:
    return InputError(
        f"Column {name!r} is missing in every training row; expected some values. Leave it out, or take more rows."
    )
