"""A column of texts whose frequent values have ids of their own."""

import numpy as np

from afm_jax.data.fields import Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import Vocabulary, fit_strings, warn_of_two_forms
from afm_jax.features import Field


class Categorical:
    """See `fields.Encoder`."""

    vocabulary: Vocabulary | None = None

    def __init__(self, given: Given):
        self._given = given
        warn_of_two_forms(given.name, given.strings)
        self._counts = np.zeros(len(given.strings) + 1, np.int64)

    def count(self, block: Block, train: np.ndarray) -> None:
        np.add.at(self._counts, block.codes[self._given.index].take(train), 1)

    def fit(self, offset: int) -> Field:
        self._fitted = fit_strings(
            self._given, offset, self._given.strings, self._counts
        )
        self.vocabulary = self._fitted.vocabulary
        return self._fitted.field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        ids[:, 0] = self._fitted.ids.take(block.codes[self._given.index])
        block.write_values(self._given.index, values)

    def unseen(self, block: Block) -> np.ndarray:
        return self._fitted.unseen(block.codes[self._given.index])


KIND = Kind("categorical", Categorical)
