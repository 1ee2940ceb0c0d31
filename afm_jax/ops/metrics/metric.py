"""What a metric is, and what metrics share."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Predicted(NamedTuple):
    """The predictions of a model for N rows, and what is true of them.

    Attributes:
        logits: real [N].
        labels: [N], of a kind of `label_kinds.LABEL_KINDS`.
        predictions: float64 [N], of the loss that the model was trained with: what it
            predicts of each row.
        targets: float64 [N], what the predictions should be.
        weights: real [N] >= 0, or None for all ones.
        groups: integer [N], the group of each row; a row of a negative one is in none.
            None if rows have no groups; a metric that needs them is then not measured.
    """

    logits: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None
    groups: Any


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


def checked(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64 [N]; raises ValueError as the metrics do."""
    scores = np.asarray(scores, np.float64)
    labels = np.asarray(labels, np.float64)
    weights = (
        np.ones(scores.shape) if weights is None else np.asarray(weights, np.float64)
    )
    if scores.ndim != 1 or not scores.shape == labels.shape == weights.shape:
        raise ValueError(
            "expected scores, labels and weights of one shape [N], found "
            f"{scores.shape}, {labels.shape} and {weights.shape}"
        )
    bad = scores.size - np.count_nonzero(np.isfinite(scores))
    if bad:
        raise ValueError(f"{bad} of {scores.size} scores are NaN or infinite")
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


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean; raises ValueError if no weight is positive."""
    total = weights.sum()
    if not total > 0:
        raise ValueError("no row of positive weight to take a mean of")
    return float(values @ weights / total)
