"""How well scores tell positive from negative rows: AUC, and AUC within groups."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from afm_jax.ops.metrics.metric import (
    BLOCK_ROWS,
    Metric,
    Predicted,
    check_binary,
    checked,
    validated,
)


def auc(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float | None:
    """Area under the ROC curve; exact, ties count one half.

    The rank statistic P(s+ > s-) + P(s+ = s-) / 2 of a positive and a negative row
    drawn in proportion to their weights (Hanley and McNeil 1982).

    Args:
        scores: real [N]; only their order matters, so logits serve as well as
            probabilities.
        labels: 0 or 1, [N].
        weights: real [N] >= 0 or None.

    Returns:
        AUC in [0, 1], or None if the rows of positive weight are of one class.

    Raises:
        ValueError: shapes differ, a score is NaN or infinite, a label is not 0 or 1, or
            a weight is negative or not finite.
    """
    scores, labels, weights = validated(scores, labels, weights)
    check_binary(labels)
    if weights is None:
        return _auc_of_counts(*sorted_classes(scores, labels))
    wins = positive = negative = 0.0
    for rows, ties in rising(scores):
        found = weights[rows].astype(np.float64)
        (won,), (above,), (below,) = _pairs(ties, found * labels[rows], found)
        wins += float(won + above * negative)
        positive, negative = positive + float(above), negative + float(below)
    pairs = positive * negative
    return wins / pairs if pairs > 0 else None


def gauc(
    scores: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray | None = None,
) -> float | None:
    """Mean AUC within groups (users, say), each weighted by its impressions.

    sum_g n_g AUC_g / sum_g n_g, where n_g is the total weight of group g; groups with
    one class are left out of both sums (Zhou et al. 2018, eq. 5).

    Args:
        scores: real [N].
        labels: 0 or 1, [N].
        groups: integer [N], the group of each row; a row of a negative one is in none.
        weights: real [N] >= 0 or None.

    Returns:
        GAUC in [0, 1], or None if no group has both classes.

    Raises:
        ValueError: as `auc`.
    """
    scores, labels, weights = checked(scores, labels, weights)
    check_binary(labels)
    groups = np.asarray(groups)
    if groups.shape != scores.shape:
        raise ValueError(f"groups have shape {groups.shape}, scores {scores.shape}")
    weights = np.where(groups < 0, 0.0, weights)
    order = np.lexsort((scores, groups))
    ties = _starts(scores[order], groups[order])
    wins, positive, negative = _pairs(
        ties, (weights * labels)[order], weights[order], groups[order][ties]
    )
    pairs = positive * negative
    mixed = pairs > 0
    impressions = (positive + negative)[mixed]
    if not impressions.size:
        return None
    return float(impressions @ (wins[mixed] / pairs[mixed]) / impressions.sum())


def gauc_coverage(
    labels: np.ndarray, groups: np.ndarray, weights: np.ndarray | None = None
) -> tuple[int, int]:
    """What `gauc` is a mean over.

    Args:
        labels: 0 or 1, [N].
        groups: integer [N], as for `gauc`.
        weights: real [N] >= 0 or None.

    Returns:
        The number of groups with both classes, and of the rows of positive weight in
        them.

    Raises:
        ValueError: as `gauc`.
    """
    labels, _, weights = checked(labels, labels, weights)
    check_binary(labels)
    counted = (np.asarray(groups) >= 0) & (weights > 0)
    _, places = np.unique(np.asarray(groups)[counted], return_inverse=True)
    rows = np.bincount(places)
    positive = np.bincount(places, labels[counted])
    mixed = (positive > 0) & (positive < rows)
    return int(mixed.sum()), int(rows[mixed].sum())


def rising(scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows by rising score, in parts of about `BLOCK_ROWS` that part no equal scores.

    Yields:
        The rows of a part, and where in it runs of equal scores start, int each.
    """
    order = np.argsort(scores)
    in_order, start = scores[order], 0
    while start < order.size:
        last = in_order[min(start + BLOCK_ROWS, order.size) - 1]
        stop = int(np.searchsorted(in_order, last, "right"))
        yield order[start:stop], _starts(in_order[start:stop])
        start = stop


def sorted_classes(
    scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the rows with label 1, and of those with label 0, each rising."""
    positive = labels == 1
    found = scores[positive], scores[~positive]
    for each in found:
        each.sort()
    return found


def _auc_of_counts(positives: np.ndarray, negatives: np.ndarray) -> float | None:
    """The AUC of rising scores of rows that count alike, from whole numbers of pairs."""
    twice_the_wins = 0
    for start in range(0, positives.size, BLOCK_ROWS):
        some = positives[start : start + BLOCK_ROWS]
        for side in ("left", "right"):
            twice_the_wins += int(np.searchsorted(negatives, some, side).sum())
    pairs = positives.size * negatives.size
    return twice_the_wins / (2 * pairs) if pairs else None


class Ranking(NamedTuple):
    """What the AUC of one run needs to know of its scores, whatever the weights.

    Attributes:
        positives: the rows with label 1, int64 [P].
        negatives: the rows with label 0 by rising score, int64 [Q].
        below: for each positive row, how many negatives score lower, int64 [P].
        not_above: for each positive row, how many score no higher, int64 [P].
    """

    positives: np.ndarray
    negatives: np.ndarray
    below: np.ndarray
    not_above: np.ndarray


def rank(scores: np.ndarray, labels: np.ndarray) -> Ranking:
    """The ranking of real scores [N] with labels 0 or 1 [N]."""
    order = np.argsort(scores)
    positive = np.asarray(labels)[order] == 1
    positives, negatives = order[positive], order[~positive]
    lower = scores[negatives]
    return Ranking(
        positives,
        negatives,
        np.searchsorted(lower, scores[positives], "left"),
        np.searchsorted(lower, scores[positives], "right"),
    )


def weighted_auc(ranking: Ranking, weights: np.ndarray) -> np.ndarray:
    """Exact AUC, ties counted one half, under many weightings of the same rows.

    No sorting: one gather and one running sum over the rows for each weighting.

    Args:
        ranking: of the N rows.
        weights: real [R, N] >= 0, positive for a row of each label.

    Returns:
        float64 [R].
    """
    positive = np.take(weights, ranking.positives, axis=1)
    negative = np.zeros((len(weights), len(ranking.negatives) + 1))
    taken = np.take(weights, ranking.negatives, axis=1)
    np.cumsum(taken, axis=1, out=negative[:, 1:])
    beaten = np.take(negative, ranking.below, axis=1)
    beaten += np.take(negative, ranking.not_above, axis=1)
    wins = np.einsum("rp,rp->r", positive, beaten) / 2
    return wins / (positive.sum(axis=1, dtype=np.float64) * negative[:, -1])


def _resampled_auc(runs: Sequence[Predicted]) -> Callable[[np.ndarray], np.ndarray]:
    rankings = [rank(run.logits, run.labels) for run in runs]
    return lambda weights: np.stack([weighted_auc(each, weights) for each in rankings])


def _starts(*sorted_keys: np.ndarray) -> np.ndarray:
    """Where runs of rows equal in all keys start, int [number of runs]."""
    changed = np.zeros(sorted_keys[0].size, bool)
    changed[:1] = True
    for key in sorted_keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)


def _pairs(
    ties: np.ndarray,
    positives: np.ndarray,
    weights: np.ndarray,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight of the won pairs, of the positive and of the negative rows, per group.

    Args:
        ties: where the runs of equal scores start.
        positives: weight of each row if its label is 1, else 0, in rising order of
            score within its group.
        weights: weight of each row, in the same order.
        groups: the group of each run; None: all one group.
    """
    if not ties.size:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    positive = np.add.reduceat(positives, ties)
    negative = np.add.reduceat(weights - positives, ties)
    first = np.zeros(1, np.int64) if groups is None else _starts(groups)
    runs = np.diff(np.append(first, ties.size))
    below = np.cumsum(negative) - negative
    below -= np.repeat(below[first], runs)
    wins = positive * (below + negative / 2)
    wins, positive, negative = np.add.reduceat([wins, positive, negative], first, 1)
    return wins, positive, negative


def _coverage(predicted: Predicted) -> dict[str, int]:
    found = gauc_coverage(predicted.labels, predicted.groups, predicted.weights)
    return dict(zip(("gauc_groups", "gauc_rows"), found, strict=True))


METRICS = (
    Metric(
        "auc",
        "AUC",
        lambda p: auc(p.logits, p.labels, p.weights),
        direction=1,
        without="all of one class: no AUC",
        resampled=_resampled_auc,
        tested_on=("binary",),
    ),
    Metric(
        "gauc",
        "GAUC",
        lambda p: gauc(p.logits, p.labels, p.groups, p.weights),
        direction=1,
        needs_groups=True,
        counts=_coverage,
    ),
)
