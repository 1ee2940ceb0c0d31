"""Numbers that stay numbers: standardised logarithms; and how all such kinds are encoded."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from afm_jax.data.fields import Kind, Scale
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import always_missing
from afm_jax.features import DenseColumn

_MOST_DEVIATIONS = 10.0
"""A number that is further from the mean counts as this far. Of a column that is 0 but in
a few rows the rest would otherwise be hundreds of deviations away, and outweigh all else
in its row."""


class Dense:
    """The dense columns of a preparation: told all training rows, then fitted.

    Args:
        names: of the columns.
        indices: their places among the numeric columns of a `Block`.
        scales: how each is scaled.
    """

    def __init__(
        self, names: Sequence[str], indices: Sequence[int], scales: Sequence[Scale]
    ):
        self._names, self._indices, self._scales = names, list(indices), scales
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
        low = np.fmin.reduce(numbers, axis=1, initial=np.inf)  # type: ignore[call-overload]
        high = np.fmax.reduce(numbers, axis=1, initial=-np.inf)  # type: ignore[call-overload]
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

    def fit(self) -> "FittedDense":
        """The columns of numbers, then those that tell where numbers are missing.

        A number that is missing in no training row has no such column.
        """
        for name, count in zip(self._names, self._count, strict=True):
            if not count:
                raise always_missing(name)
        # Rounded, so that it does not show in which blocks the rows came.
        means = _round(self._mean)
        stds = _round(np.sqrt(self._squares / self._count))
        fitted = zip(means, stds, self._low, self._high, strict=True)
        for place, (scale, each) in enumerate(zip(self._scales, fitted, strict=True)):
            means[place], stds[place] = scale.constants(*each)
        # A constant column becomes 0, whatever the sums were rounded to.
        constant = self._low == self._high
        means[constant] = self._low[constant]
        stds[constant | (stds == 0)] = 1.0
        low = np.maximum(self._low, means - _MOST_DEVIATIONS * stds)
        high = np.minimum(self._high, means + _MOST_DEVIATIONS * stds)
        columns = [
            DenseColumn(name, scale.transform, *numbers)
            for name, scale, *numbers in zip(
                self._names,
                self._scales,
                *(each.tolist() for each in (means, stds, low, high)),
                strict=True,
            )
        ]
        told = zip(self._names, self._missing, strict=True)
        columns += [DenseColumn(name, "missing") for name, missing in told if missing]
        return FittedDense(tuple(columns), tuple(self._indices))


@dataclasses.dataclass(frozen=True)
class FittedDense:
    """The dense columns, of training rows or of new ones.

    Attributes:
        columns: those of numbers, then those that tell where numbers are missing.
        indices: the places of those of numbers among the numeric columns of a `Block`.
    """

    columns: tuple[DenseColumn, ...]
    indices: tuple[int, ...]

    def encode(self, block: Block) -> np.ndarray:
        """The columns, float32 [N, D]."""
        mean, std, low, high = self._constants
        numbers = np.clip(block.numbers[list(self.indices)], low, high)
        numbers -= mean
        numbers /= std
        missing = np.isnan(numbers)
        numbers[missing] = 0
        names = [column.name for column in self.columns]
        told = [names.index(name) for name in names[len(self.indices) :]]
        columns = np.concatenate([numbers, missing[told]])
        return np.ascontiguousarray(columns.T, np.float32)

    def missing(self, block: Block) -> dict[str, np.ndarray]:
        """Where each number is missing, bool [N], by the name of its column."""
        columns = zip(self.columns, self.indices, strict=False)
        return {
            column.name: np.isnan(block.numbers[index]) for column, index in columns
        }

    @functools.cached_property
    def _constants(self) -> np.ndarray:
        """Mean, std, low and high of the numbers, float64 [4, columns, 1]."""
        return np.array(
            [
                (
                    column.mean,
                    column.std,
                    -np.inf if column.low is None else column.low,
                    np.inf if column.high is None else column.high,
                )
                for column in self.columns[: len(self.indices)]
            ],
            np.float64,
        ).T.reshape(4, -1, 1)


def signed_log1p(numbers: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x|)."""
    return np.copysign(np.log1p(np.abs(numbers)), numbers)


def _round(numbers: np.ndarray) -> np.ndarray:
    """The numbers with 12 significant digits."""
    return np.array([float(f"{number:.12g}") for number in numbers])


KIND = Kind(
    "numeric",
    scale=Scale("log1p", lambda mean, std, low, high: (mean, std)),
    told="standardised logarithms",
    prepare=signed_log1p,
)
