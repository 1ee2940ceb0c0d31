"""Encoders of columns of strings, and what the encoders of all fields have in common.

An encoder is told all training rows block by block (`count`), then makes its field
(`fit`), and from then on writes the ids of a block (`write`).
"""

import logging
import zlib
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from afm_jax.data.fields.codes import Block, Dictionary
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, Field

FIRST = 2
"""The first id of a field that stands for a value of its own."""


_log = logging.getLogger(__name__)


class Vocabulary(NamedTuple):
    """The values of a field that have ids of their own; `values[i]` has offset + 2 + i.

    Attributes:
        values: strings by falling count, equal counts by value.
        counts: int64, how often each occurs in the training split.
        others: the values of all splits that have no id, in rising order; `others[i]`
            has the number vocab_size + i (see `store.reader.UnseenValues`).
    """

    values: pl.Series
    counts: pl.Series
    others: pl.Series

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

    def unseen(self, block: Block) -> np.ndarray | None:
        """The values without an id, int64 [M, 2], as in `store.reader.UnseenValues`.

        None for a field whose values have no numbers: buckets, and several slots.
        """


class Categorical:
    """A column of strings; see `Encoder`."""

    vocabulary: Vocabulary | None = None

    def __init__(self, name: str, index: int, dictionary: Dictionary):
        self._name, self._index = name, index
        self._strings = values_of(name, dictionary)
        self._counts = np.zeros(len(self._strings) + 1, np.int64)

    def count(self, block: Block, train: np.ndarray) -> None:
        np.add.at(self._counts, block.codes[self._index].take(train), 1)

    def fit(self, offset: int, min_count: int) -> Field:
        self._fitted = fit_strings(
            self._name, offset, min_count, self._strings, self._counts
        )
        self.vocabulary = self._fitted.vocabulary
        return self._fitted.field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        codes = block.codes[self._index]
        ids[:, 0] = self._fitted.ids.take(codes)
        if values is not None and block.values.size:
            # Nothing is there to be weighed where the column is missing.
            values[:, 0] = np.where(codes > 0, block.values[self._index], 1)

    def unseen(self, block: Block) -> np.ndarray:
        return self._fitted.unseen(block.codes[self._index])


def values_of(name: str, dictionary: Dictionary) -> pl.Series:
    """The values of a column; logs a line if numbers are there in two forms."""
    strings = dictionary.strings()
    floats = strings.filter(strings.str.ends_with(".0")).str.strip_suffix(".0")
    whole = floats.filter(floats.str.contains(r"^-?\d+$"))
    twice = whole.filter(whole.is_in(strings)) if len(whole) else whole
    if len(twice):
        _log.warning(
            "Column %r holds both '%s' and '%s.0', and %d other whole numbers in two forms; each form counts as a value of its own. Write numbers in one form.",
            name,
            twice[0],
            twice[0],
            len(twice) - 1,
        )
    return strings


class FittedStrings(NamedTuple):
    """A column of strings whose values have been given ids.

    Attributes:
        field: the field.
        vocabulary: its values.
        ids: int32 [codes], the id of each code.
        numbers: int64 [codes], the number of each code whose value has no id; else 0.
    """

    field: Field
    vocabulary: Vocabulary
    ids: np.ndarray
    numbers: np.ndarray

    def unseen(self, codes: np.ndarray) -> np.ndarray:
        """As `Encoder.unseen`, of a block with these codes, [N]."""
        rows = np.flatnonzero(self.ids.take(codes) == self.field.offset + UNSEEN)
        return np.stack([rows, self.numbers.take(codes[rows])], axis=1)


def fit_strings(
    name: str,
    offset: int,
    min_count: int,
    strings: pl.Series,
    counts: np.ndarray,
    *,
    kind: str = "categorical",
    slots: int = 1,
) -> FittedStrings:
    """Gives ids to the values of a column.

    Args:
        name: of the column.
        offset: the first id.
        min_count: values with fewer training rows have no id.
        strings: the values; that of code c is at c - 1.
        counts: int64 [codes], how often each code occurs in training rows.
        kind: of the field, if it has one slot.
        slots: of the field.

    Raises:
        InputError: no training row has a value.
    """
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
    rare = np.flatnonzero(counts[1:] < max(min_count, 1))
    others = pl.DataFrame({"value": strings.gather(rare), "code": rare + 1}).sort(
        "value"
    )
    vocabulary = Vocabulary(table["value"], table["count"], others["value"])
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
    numbers = np.zeros(len(counts), np.int64)
    numbers[others["code"].to_numpy()] = field.vocab_size + np.arange(others.height)
    return FittedStrings(field, vocabulary, ids, numbers)


def always_missing(name: str) -> InputError:
    return InputError(
        f"Column {name!r} is missing in every training row; expected some values. Leave it out, or take more rows."
    )
