"""A column of texts whose frequent values have ids of their own."""

import numpy as np

from afm_jax.data.fields import Fitted, Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import (
    Coded,
    fit_strings,
    warn_of_two_forms,
)
from afm_jax.features import Field


class Categorical:
    """See `fields.Counter`."""

    def __init__(self, given: Given):
        self._given = given
        warn_of_two_forms(given.name, given.strings)
        self._counts = np.zeros(len(given.strings) + 1, np.int64)

    def count(self, block: Block, train: np.ndarray) -> None:
        np.add.at(self._counts, block.codes[self._given.index].take(train), 1)

    def fit(self, offset: int) -> Fitted:
        given = self._given
        coded = fit_strings(given, offset, given.strings, self._counts)
        return _fitted(coded, given.index)


def _load(field: Field, index: int, coded: Coded | None) -> Fitted:
    assert coded is not None
    return _fitted(coded, index)


def _fitted(coded: Coded, index: int) -> Fitted:
    def write(block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        ids[:, 0] = coded.ids.take(block.codes[index])
        block.write_values(index, values)

    def unseen(block: Block) -> np.ndarray | None:
        return coded.unseen(block.codes[index])

    return Fitted(coded.field, coded.vocabulary, write, unseen)


KIND = Kind("categorical", Categorical, _load, has_vocabulary=True)
