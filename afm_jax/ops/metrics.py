"""Metrics of ranked and of probabilistic predictions, in float64 NumPy on the host.

Every function takes arrays of one row per entry, [N], and optional weights [N] >= 0
(None: all ones); every mean is sum(x w) / sum(w).
"""

import numpy as np


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
    scores, labels, weights = _checked(scores, labels, weights)
    _check_binary(labels)
    order = np.argsort(scores)
    wins, positive, negative = _pairs(
        _starts(scores[order]), (weights * labels)[order], weights[order]
    )
    pairs = float(positive.sum()) * float(negative.sum())
    return float(wins.sum()) / pairs if pairs > 0 else None


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
    scores, labels, weights = _checked(scores, labels, weights)
    _check_binary(labels)
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
    labels, _, weights = _checked(labels, labels, weights)
    _check_binary(labels)
    counted = (np.asarray(groups) >= 0) & (weights > 0)
    _, places = np.unique(np.asarray(groups)[counted], return_inverse=True)
    rows = np.bincount(places)
    positive = np.bincount(places, labels[counted])
    mixed = (positive > 0) & (positive < rows)
    return int(mixed.sum()), int(rows[mixed].sum())


def log_loss(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean binary cross-entropy in nats, log(1 + e^z) - y z, for any finite logit z.

    Args:
        logits: real [N].
        labels: 0 or 1, [N].
        weights: real [N] >= 0 or None.

    Raises:
        ValueError: as `auc`; or the weights sum to 0.
    """
    logits, labels, weights = _checked(logits, labels, weights)
    _check_binary(labels)
    return _mean(np.logaddexp(0.0, logits) - labels * logits, weights)


def rmse(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Root of the mean squared difference of real predictions and targets, [N] each.

    Raises:
        ValueError: shapes differ, a prediction is NaN or infinite, a weight is negative
            or not finite, or the weights sum to 0.
    """
    predictions, targets, weights = _checked(predictions, targets, weights)
    return float(np.sqrt(_mean((predictions - targets) ** 2, weights)))


def calibration(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float | None:
    """Mean prediction / mean label: above 1, the model predicts too many positives.

    Args:
        probabilities: real [N] in [0, 1].
        labels: 0 or 1, [N].
        weights: real [N] >= 0 or None.

    Returns:
        The ratio, or None if no row of positive weight has label 1.

    Raises:
        ValueError: as `auc`.
    """
    probabilities, labels, weights = _checked(probabilities, labels, weights)
    _check_binary(labels)
    positive = weights @ labels
    return float(weights @ probabilities / positive) if positive > 0 else None


def _checked(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64 [N]."""
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


def _check_binary(labels: np.ndarray) -> None:
    bad = np.count_nonzero((labels != 0) & (labels != 1))
    if bad:
        raise ValueError(f"{bad} of {labels.size} labels are neither 0 nor 1")


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    if not total > 0:
        raise ValueError("no row of positive weight to take a mean of")
    return float(values @ weights / total)


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
