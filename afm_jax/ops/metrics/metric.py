"""What a metric is, and what metrics share."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

BLOCK_ROWS = 1 << 20
"""Rows that are looked at together, at most, where a metric is a mean over rows."""


def _as_they_are(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, np.float64)


@dataclasses.dataclass(frozen=True)
class Predicted:
    """The predictions of a model for N rows, and what is true of them.

    Attributes:
        logits: real [N].
        labels: [N], of a kind of `label_kinds.LABEL_KINDS`.
        predict: logits -> predictions, float64: what the loss that the model was trained
            with predicts of each row.
        target: labels -> what the predictions should be, float64.
        weights: real [N] >= 0, or None for all ones.
        groups: integer [N], the group of each row; a row of a negative one is in none.
            None if rows have no groups; a metric that needs them is then not measured.
    """

    logits: np.ndarray
    labels: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray] = _as_they_are
    target: Callable[[np.ndarray], np.ndarray] = _as_they_are
    weights: np.ndarray | None = None
    groups: Any = None

    @property
    def predictions(self) -> np.ndarray:
        """What is predicted of each row, float64 [N]."""
        return self.predict(self.logits)

    @property
    def targets(self) -> np.ndarray:
        """What the predictions should be, float64 [N]."""
        return self.target(self.labels)

    def blocks(self) -> "Iterator[Block]":
        """The rows in parts of `BLOCK_ROWS`, in float64, with weights and without groups.

        So what is computed of each row takes memory for one part alone.

        Raises:
            ValueError: as `validated`.
        """
        logits, labels, weights = validated(self.logits, self.labels, self.weights)
        for start in range(0, logits.size, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            of_part = None if weights is None else weights[part]
            columns = checked(logits[part], labels[part], of_part)
            yield Block(self, *columns)


Resampled = Callable[[Sequence[Predicted]], Callable[[np.ndarray], np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric: all that evaluation, comparisons and plots need to know of it.

    Attributes:
        name: its key in results.
        title: its name in tables and plots.
        measure: its value, None where it has none.
        direction: 1 if more is better, -1 if less is better; 0 if neither, so that it
            ranks no models.
        label_kinds: the kinds of labels that it is measured on, of
            `label_kinds.LABEL_KINDS`.
        needs_probabilities: whether it is measured of probabilities only.
        needs_groups: whether it is measured only where rows have groups.
        counts: numbers beside it that say what it is a mean over, by name.
        without: what rows are where it has no value, for a warning.
        resampled: predictions of several runs for the same rows -> (weights of the rows
            [R, N] -> values [runs, R]): a fast way to measure it under many weightings,
            from which a comparison takes intervals; None if there is no such way.
        tested_on: the kinds of labels on which a comparison tests it, by `resampled`.
    """

    name: str
    title: str
    measure: Callable[[Predicted], float | None]
    direction: int = 0
    label_kinds: tuple[str, ...] = ("binary",)
    needs_probabilities: bool = False
    needs_groups: bool = False
    counts: Callable[[Predicted], Mapping[str, int]] = lambda predicted: {}
    without: str | None = None
    resampled: Resampled | None = None
    tested_on: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Block:
    """Some rows of a `Predicted`.

    Attributes:
        of: the rows of which they are some.
        logits: float64 [B].
        labels: float64 [B].
        weights: float64 [B].
    """

    of: Predicted
    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """What is predicted of each row, float64 [B]."""
        return self.of.predict(self.logits)

    @property
    def targets(self) -> np.ndarray:
        """What the predictions should be, float64 [B]."""
        return self.of.target(self.labels)


def checked(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64 [N]; raises ValueError as `validated`."""
    scores, labels, weights = validated(scores, labels, weights)
    ones = np.ones(scores.shape) if weights is None else weights
    return tuple(np.asarray(each, np.float64) for each in (scores, labels, ones))  # type: ignore[return-value]


def validated(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The three as arrays [N] of their own types; None for weights that are all 1.

    Raises:
        ValueError: shapes differ, a score is NaN or infinite, or a weight is negative or
            not finite.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    ones = np.broadcast_to(1.0, scores.shape)
    weights = ones if weights is None else np.asarray(weights)
    if scores.ndim != 1 or not scores.shape == labels.shape == weights.shape:
        raise ValueError(
            "expected scores, labels and weights of one shape [N], found "
            f"{scores.shape}, {labels.shape} and {weights.shape}"
        )
    bad = scores.size - np.count_nonzero(np.isfinite(scores))
    if bad:
        raise ValueError(f"{bad} of {scores.size} scores are NaN or infinite")
    if np.all(weights == 1):
        return scores, labels, None
    if not np.all((weights >= 0) & np.isfinite(weights)):
        raise ValueError("expected finite weights >= 0")
    return scores, labels, weights


def check_binary(labels: np.ndarray) -> None:
    """Raises ValueError if a label is neither 0 nor 1."""
    bad = np.count_nonzero((labels != 0) & (labels != 1))
    if bad:
        raise ValueError(f"{bad} of {labels.size} labels are neither 0 nor 1")


def check_probable(labels: np.ndarray) -> None:
    """Raises ValueError if a label is neither 0 nor 1 nor between them."""
    bad = np.count_nonzero(~((labels >= 0) & (labels <= 1)))
    if bad:
        raise ValueError(f"{bad} of {labels.size} labels are not in [0, 1]")


def mean(predicted: Predicted, each: Callable[[Block], np.ndarray]) -> float:
    """The weighted mean of a number of each row.

    Args:
        predicted: the rows.
        each: some of the rows -> the number of each, float64.

    Raises:
        ValueError: as `validated`, or no weight is positive.
    """
    total = weight = 0.0
    for block in predicted.blocks():
        total += float(each(block) @ block.weights)
        weight += float(block.weights.sum())
    if not weight > 0:
        raise ValueError("no row of positive weight to take a mean of")
    return total / weight
