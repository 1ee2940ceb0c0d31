"""Numbers as categories: the buckets of the published Criteo rule."""

import numpy as np

from afm_jax.data.fields import Fitted, Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import Coded, fit_strings
from afm_jax.features import MISSING, UNSEEN, Field


class Log2Buckets:
    """See `fields.Counter`; the numbers are `log2_buckets` already."""

    def __init__(self, given: Given):
        self._given = given
        self._counts: dict[float, int] = {}

    def count(self, block: Block, train: np.ndarray) -> None:
        numbers = block.numbers[self._given.index].take(train)
        found = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
        for bucket, count in zip(*(part.tolist() for part in found), strict=True):
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def fit(self, offset: int) -> Fitted:
        import polars as pl

        buckets = sorted(self._counts)
        counts = np.array([0, *(self._counts[bucket] for bucket in buckets)], np.int64)
        strings = pl.Series([f"{bucket:.0f}" for bucket in buckets], dtype=pl.String)
        coded = fit_strings(self._given, offset, strings, counts, kind="bucket_log2")
        return _fitted(coded, self._given.index, np.array(buckets))


def _load(field: Field, index: int, coded: Coded | None) -> Fitted:
    assert coded is not None
    buckets = coded.vocabulary.values.cast(float).to_numpy()
    order = np.argsort(buckets)
    in_order = coded.ids[np.concatenate([[0], 1 + order])]
    return _fitted(coded._replace(ids=in_order), index, buckets[order])


def _fitted(coded: Coded, index: int, buckets: np.ndarray) -> Fitted:
    """The field of rising `buckets`, that of code c at c - 1."""

    def write(block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        numbers = block.numbers[index]
        place = np.searchsorted(buckets, numbers)
        known = np.append(buckets, np.nan).take(place, mode="clip") == numbers
        unknown = coded.field.offset + np.where(np.isnan(numbers), MISSING, UNSEEN)
        ids[:, 0] = np.where(known, coded.ids.take(place + 1, mode="clip"), unknown)

    return Fitted(coded.field, coded.vocabulary, write)


def log2_buckets(numbers: np.ndarray) -> np.ndarray:
    """The published Criteo rule: floor(log(x)^2) for x > 2, else x without fraction.

    From the winners of the Kaggle challenge of 2014; the benchmarks since have kept it.
    Different numbers collide: 1, 3 and 4 are all 1, and 2 and 5 are both 2.
    """
    large = np.floor(np.square(np.log(np.maximum(numbers, 1))))
    return np.where(numbers > 2, large, np.trunc(numbers) + 0.0)


KIND = Kind(
    "numeric",
    Log2Buckets,
    _load,
    told="the buckets of the published Criteo rule",
    prepare=log2_buckets,
    has_vocabulary=True,
)
