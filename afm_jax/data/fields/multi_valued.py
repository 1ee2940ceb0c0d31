"""The encoder of columns of lists of strings."""

import logging
from collections.abc import Sequence

import numpy as np

from afm_jax.data import formats
from afm_jax.data.fields import encoders
from afm_jax.data.fields.codes import Block, Dictionary
from afm_jax.errors import InputError
from afm_jax.features import Field

_FEW_SLOTS = 32
_FILLED = 1 / 8
"""A column with more slots than the first, of which a smaller part is filled, is told."""

_SLOT_BYTES = 8  # an int32 id and a float32 value

_log = logging.getLogger(__name__)


class MultiValued:
    """A column of lists of strings; see `encoders.Encoder`.

    It has as many slots as the longest list of a training row has items, but at most
    `max_slots`, if that is given. Of longer lists the first items are kept; the others
    are lost, and do not count. So slots, too, depend on training rows only. Unused slots
    have the id of missing and value 0; an empty list is missing with value 1.
    """

    vocabulary: encoders.Vocabulary | None = None

    def __init__(
        self,
        name: str,
        index: int,
        dictionary: Dictionary,
        max_slots: int | None = None,
    ):
        self._name, self._index, self._max_slots = name, index, max_slots
        self._strings = encoders.values_of(name, dictionary)
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
        self._fitted = encoders.fit_strings(
            self._name,
            offset,
            min_count,
            self._strings,
            self._counts,
            slots=self._slots,
        )
        self.vocabulary = self._fitted.vocabulary
        return self._fitted.field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        many = block.many[self._index]
        starts = np.cumsum(many.lengths) - many.lengths
        ids[:] = self._fitted.ids[0]
        for slot in range(self._slots):
            rows = np.flatnonzero(many.lengths > slot)
            items = starts[rows] + slot
            ids[rows, slot] = self._fitted.ids.take(many.codes[items])
            if values is not None:
                values[:, slot] = 0 if slot else many.lengths == 0
                values[rows, slot] = many.values[items] if many.values.size else 1

    def unseen(self, block: Block) -> np.ndarray | None:
        if self._slots > 1:
            return None
        many = block.many[self._index]
        codes = np.zeros(len(many.lengths), np.uint32)
        starts = np.cumsum(many.lengths) - many.lengths
        there = many.lengths > 0
        codes[there] = many.codes[starts[there]]
        return self._fitted.unseen(codes)

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
            self._name,
            lengths[-1],
            typical,
            self._slots,
            rows * self._slots * _SLOT_BYTES / 1e6,
            100 * filled,
            self._name,
        )


def slot_limits(layout: formats.Layout, max_slots: Sequence[str]) -> dict[str, int]:
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
