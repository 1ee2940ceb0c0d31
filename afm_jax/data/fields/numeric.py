"""Encoders of columns of numbers: as buckets, or scaled as they are.

The buckets are fields; see `data.encoders.Encoder`. The dense columns, which have no ids,
are one encoder of their own, `Dense`.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.encoders import FIRST, Vocabulary, always_missing, fit_strings
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, DenseColumn, Field

DENSE_KINDS = ("dense", "min_max")
KINDS = (*DENSE_KINDS, "bucket_log2", "bucket_quantile")

_QUANTILE_SAMPLE = 1_000_000

_MOST_DEVIATIONS = 10.0
"""A number that is further from the mean counts as this far. Of a column that is 0 but in
a few rows the rest would otherwise be hundreds of deviations away, and outweigh all else
in its row."""


class Log2Buckets:
    """A numeric column whose `log2_buckets` are categories; see `Encoder`."""

    vocabulary: Vocabulary | None = None

    def __init__(self, name: str, index: int):
        self._name, self._index = name, index
        self._counts: dict[float, int] = {}

    def count(self, block: Block, train: np.ndarray) -> None:
        numbers = block.numbers[self._index].take(train)
        found = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
        for bucket, count in zip(*(part.tolist() for part in found), strict=True):
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def fit(self, offset: int, min_count: int) -> Field:
        buckets = np.array(sorted(self._counts))
        counts = np.array([0, *(self._counts[bucket] for bucket in buckets)], np.int64)
        strings = pl.Series([f"{bucket:.0f}" for bucket in buckets], dtype=pl.String)
        fitted = fit_strings(
            self._name, offset, min_count, strings, counts, kind="bucket_log2"
        )
        self.vocabulary, self._ids = fitted.vocabulary, fitted.ids
        self._buckets = buckets
        return fitted.field

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        numbers = block.numbers[self._index]
        place = np.minimum(
            np.searchsorted(self._buckets, numbers), len(self._buckets) - 1
        )
        known = self._buckets[place] == numbers
        unknown = self._ids[0] + np.where(np.isnan(numbers), MISSING, UNSEEN)
        ids[:, 0] = np.where(known, self._ids.take(place + 1), unknown)

    def unseen(self, block: Block) -> None:
        return None


class QuantileBuckets:
    """A numeric column in buckets of about equally many training rows; see `Encoder`.

    The edges are quantiles of at most a million training rows, evenly spaced in the file;
    edges that fall together are one. Ids rise with the bucket.
    """

    vocabulary: Vocabulary | None = None

    def __init__(self, name: str, index: int, buckets: int, train_rows: int):
        self._name, self._index, self._buckets = name, index, buckets
        self._every = -(-train_rows // _QUANTILE_SAMPLE) or 1
        self._seen = 0
        self._sample: list[np.ndarray] = []

    def count(self, block: Block, train: np.ndarray) -> None:
        numbers = block.numbers[self._index].take(train)[
            -self._seen % self._every :: self._every
        ]
        self._seen += len(train)
        self._sample.append(numbers[~np.isnan(numbers)])

    def fit(self, offset: int, min_count: int) -> Field:
        sample = np.concatenate(self._sample) if self._sample else np.zeros(0)
        if not sample.size:
            raise always_missing(self._name)
        ranks = np.linspace(0, 1, self._buckets + 1)[1:-1]
        edges = np.unique(np.quantile(sample, ranks, method="higher"))
        self._edges = edges[edges > np.min(sample)]
        self._first = offset
        boundaries = tuple(self._edges.tolist())
        return Field(
            name=self._name,
            kind="bucket_quantile",
            vocab_size=FIRST + len(boundaries) + 1,
            offset=offset,
            vocabulary_crc32=zlib.crc32(repr(boundaries).encode()),
            boundaries=boundaries,
        )

    def write(self, block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        numbers = block.numbers[self._index]
        bucket = FIRST + np.searchsorted(self._edges, numbers, side="right")
        ids[:, 0] = self._first + np.where(np.isnan(numbers), MISSING, bucket)

    def unseen(self, block: Block) -> None:
        return None


class Dense:
    """Numeric columns kept as numbers, on a common scale; see `Encoder` for count and fit.

    A column of kind 'dense' gets mean 0 and standard deviation 1 on the training rows. A
    column of kind 'min_max' gets their smallest number at 0 and their largest at 1.
    """

    def __init__(
        self, names: Sequence[str], indices: Sequence[int], kinds: Sequence[str]
    ):
        self._names, self._indices = list(names), list(indices)
        self._min_max = np.array([kind == "min_max" for kind in kinds], bool)
        self._count = np.zeros(len(names))
        self._mean = np.zeros(len(names))
        self._squares = np.zeros(len(names))  # sum of squared distances to the mean
        self._low = np.full(len(names), np.inf)
        self._high = np.full(len(names), -np.inf)
        self._missing = np.zeros(len(names), bool)

    def count(self, block: Block, train: np.ndarray) -> None:
        """Merges the means and squares of blocks (Chan, Golub and LeVeque 1979)."""
        numbers = block.numbers[self._indices].take(train, axis=1)
        there = ~np.isnan(numbers)
        count = there.sum(axis=1)
        self._missing |= count < len(train)
        low = numbers.min(axis=1, initial=np.inf, where=there)
        high = numbers.max(axis=1, initial=-np.inf, where=there)
        self._low = np.minimum(self._low, low)
        self._high = np.maximum(self._high, high)
        mean = np.where(there, numbers, 0).sum(axis=1) / np.maximum(count, 1)
        apart = np.where(there, numbers - mean[:, None], 0)
        total = np.maximum(self._count + count, 1)
        step = mean - self._mean
        self._mean += step * count / total
        self._squares += np.square(apart).sum(axis=1)
        self._squares += np.square(step) * self._count * count / total
        self._count += count

    def fit(self) -> tuple[DenseColumn, ...]:
        """The columns of numbers, then those that tell where numbers are missing.

        A number that is missing in no training row has no such column.
        """
        for name, count in zip(self._names, self._count, strict=True):
            if not count:
                raise always_missing(name)
        # Rounded, so that it does not show in which blocks the rows came.
        self._mean = _round(self._mean)
        self._std = _round(np.sqrt(self._squares / self._count))
        # A constant column becomes 0, whatever the sums were rounded to.
        constant = self._low == self._high
        self._mean = np.where(constant | self._min_max, self._low, self._mean)
        self._std = np.where(self._min_max, self._high - self._low, self._std)
        self._std[constant | (self._std == 0)] = 1.0
        self._low = np.maximum(self._low, self._mean - _MOST_DEVIATIONS * self._std)
        self._high = np.minimum(self._high, self._mean + _MOST_DEVIATIONS * self._std)
        constants = (self._mean, self._std, self._low, self._high)
        columns = [
            DenseColumn(name, "min_max" if min_max else "log1p", *numbers)
            for name, min_max, *numbers in zip(
                self._names,
                self._min_max,
                *(each.tolist() for each in constants),
                strict=True,
            )
        ]
        return (
            *columns,
            *(
                DenseColumn(name, "missing")
                for name, missing in zip(self._names, self._missing, strict=True)
                if missing
            ),
        )

    def encode(self, block: Block) -> np.ndarray:
        """The columns of `fit`, float32 [N, D]."""
        numbers = np.clip(
            block.numbers[self._indices], self._low[:, None], self._high[:, None]
        )
        numbers -= self._mean[:, None]
        numbers /= self._std[:, None]
        missing = np.isnan(numbers)
        numbers[missing] = 0
        columns = np.concatenate([numbers, missing[self._missing]])
        return np.ascontiguousarray(columns.T, np.float32)


def log2_buckets(numbers: np.ndarray) -> np.ndarray:
    """The published Criteo rule: floor(log(x)^2) for x > 2, else x without fraction.

    From the winners of the Kaggle challenge of 2014; the benchmarks since have kept it.
    Different numbers collide: 1, 3 and 4 are all 1, and 2 and 5 are both 2.
    """
    large = np.floor(np.square(np.log(np.maximum(numbers, 1))))
    return np.where(numbers > 2, large, np.trunc(numbers) + 0.0)


def signed_log1p(numbers: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x|)."""
    return np.copysign(np.log1p(np.abs(numbers)), numbers)


def kinds(layout: formats.Layout, numeric_as: Sequence[str]) -> tuple[str, ...]:
    """How each numeric column is kept.

    Args:
        layout: the columns.
        numeric_as: 'KIND' for all columns, or 'NAME:KIND' for one.

    Raises:
        InputError: no such kind or numeric column.
    """
    names = [column.name for column in layout.columns if column.kind == "numeric"]
    chosen = dict.fromkeys(names, "dense")
    # Without numeric columns there is nothing that the default could mean.
    given = [setting for setting in numeric_as if names or setting != "dense"]
    for name, kind in layout.settings("numeric", "numeric_as", given).items():
        if kind not in KINDS:
            raise InputError(f"--numeric_as: {kind!r} is none of {', '.join(KINDS)}.")
        chosen[name] = kind
    return tuple(chosen.values())


def prepare(numbers: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """The numbers, float64 [columns, N], as the encoders of these kinds want them."""
    for row, kind in zip(numbers, kinds, strict=True):
        row[:] = _PREPARE[kind](row)
    return numbers


_PREPARE = {
    "dense": signed_log1p,
    "min_max": lambda numbers: numbers,
    "bucket_log2": log2_buckets,
    "bucket_quantile": lambda numbers: numbers,
}


def _round(numbers: np.ndarray) -> np.ndarray:
    """The numbers with 12 significant digits."""
    return np.array([float(f"{number:.12g}") for number in numbers])
