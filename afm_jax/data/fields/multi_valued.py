"""A column of lists of texts, which takes several slots."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from afm_jax.data.fields import Fitted, Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import (
    Coded,
    fit_strings,
    warn_of_two_forms,
)
from afm_jax.data.formats import Layout, Option
from afm_jax.features import MISSING, Field

_FEW_SLOTS = 32
_FILLED = 1 / 8
"""A column with more slots than the first, of which a smaller part is filled, is told."""

_SLOT_BYTES = 8  # an int32 id and a float32 value

_log = logging.getLogger(__name__)


class MultiValued:
    """A column of lists of strings; see `fields.Counter`.

    It has as many slots as the longest list of a training row has items, but at most
    `max_slots`, if that is given. Of longer lists the first items are kept; the others
    are lost, and do not count. So slots, too, depend on training rows only. Unused slots
    have the id of missing and value 0; an empty list is missing with value 1.
    """

    def __init__(self, given: Given):
        self._given, self._max_slots = given, given.setting
        warn_of_two_forms(given.name, given.strings)
        self._counts = np.zeros(len(given.strings) + 1, np.int64)
        self._rows = np.zeros(1, np.int64)  # how many have lists of 0, 1, ... items

    def count(self, block: Block, train: np.ndarray) -> None:
        many = block.many[self._given.index]
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

    def fit(self, offset: int) -> Fitted:
        given, longest = self._given, len(self._rows) - 1
        slots = max(1, min(longest, self._max_slots or longest))
        self._warn_of_empty_slots(slots)
        coded = fit_strings(given, offset, given.strings, self._counts, slots=slots)
        return _fitted(coded, given.index)

    def _warn_of_empty_slots(self, slots: int) -> None:
        """Logs a line if few long lists make all rows far wider than most need."""
        rows = int(self._rows.sum())
        lengths = np.arange(len(self._rows))
        items = int(self._rows @ lengths.clip(max=slots))
        filled = items / (rows * slots)
        if slots <= _FEW_SLOTS or filled >= _FILLED:
            return
        typical = int(np.searchsorted(np.cumsum(self._rows), 0.9 * rows))
        _log.warning(
            "Column %r: the longest training list has %d items, and 9 of 10 have at most %d. Every row takes %d slots, which makes %.0f MB for the training rows, and %.2g%% of the slots are filled. --max_slots=%s:N keeps the first N items of a list.",
            self._given.name,
            lengths[-1],
            typical,
            slots,
            rows * slots * _SLOT_BYTES / 1e6,
            100 * filled,
            self._given.name,
        )


def _load(field: Field, index: int, coded: Coded | None) -> Fitted:
    assert coded is not None
    return _fitted(coded, index)


def _fitted(coded: Coded, index: int) -> Fitted:
    slots = coded.field.slots

    def write(block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        many = block.many[index]
        starts = np.cumsum(many.lengths) - many.lengths
        ids[:] = coded.field.offset + MISSING
        for slot in range(slots):
            rows = np.flatnonzero(many.lengths > slot)
            items = starts[rows] + slot
            ids[rows, slot] = coded.ids.take(many.codes[items])
            if values is not None:
                values[:, slot] = 0 if slot else many.lengths == 0
                values[rows, slot] = many.values[items] if many.values.size else 1

    def unseen(block: Block) -> np.ndarray | None:
        if slots > 1:
            return None
        many = block.many[index]
        codes = np.zeros(len(many.lengths), np.uint32)
        starts = np.cumsum(many.lengths) - many.lengths
        there = many.lengths > 0
        codes[there] = many.codes[starts[there]]
        return coded.unseen(codes)

    return Fitted(coded.field, coded.vocabulary, write, unseen)


def _slot_limits(layout: Layout, options: Mapping[str, Any]) -> dict[str, int]:
    """How many items of a list are kept, for the columns that --max_slots names."""
    return layout.whole_numbers("multi_valued", "max_slots", options["max_slots"])


KIND = Kind(
    "multi_valued",
    MultiValued,
    _load,
    options=(
        Option(
            "max_slots",
            (),
            "Keep the first N items of each list of a multi-valued column. N sets all such columns, and COLUMN:N sets one. If not given, a column has as many slots as the longest list of a training row has items.",
        ),
    ),
    settings=_slot_limits,
    has_vocabulary=True,
)
