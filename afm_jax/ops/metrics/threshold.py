"""What is found above a threshold of the scores: recall at a wanted precision."""

import numpy as np

from afm_jax.ops.metrics.discrimination import rising, sorted_classes
from afm_jax.ops.metrics.metric import (
    BLOCK_ROWS,
    Metric,
    check_binary,
    validated,
)

PRECISION = 0.9
"""The precision at which `recall_at_precision` is measured by default."""


def recall_at_precision(
    scores: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    precision: float = PRECISION,
) -> float | None:
    """The largest share of positives that a threshold finds at this precision or more.

    A threshold t finds the rows with scores >= t. Its recall is the share of the
    positives that it finds, its precision the share of positives in what it finds.

    Args:
        scores: real [N]; only their order matters.
        labels: 0 or 1, [N].
        weights: real [N] >= 0 or None.
        precision: in (0, 1].

    Returns:
        Recall in [0, 1]; 0 if no threshold is so precise, None if no row of positive
        weight has label 1.

    Raises:
        ValueError: as `auc`.
    """
    scores, labels, weights = validated(scores, labels, weights)
    check_binary(labels)
    if weights is None:
        return _of_counts(*sorted_classes(scores, labels), precision)
    best, found, positive = 0.0, np.zeros(1), np.zeros(1)
    for rows, ties in rising(-scores):
        some = weights[rows].astype(np.float64)
        found = np.cumsum(np.append(found[-1], some))[1:]
        positive = np.cumsum(np.append(positive[-1], some * labels[rows]))[1:]
        # Rows of one score are found together: by the last of them.
        last = np.append(ties[1:], rows.size) - 1
        right = (positive >= precision * found)[last] & (found[last] > 0)
        best = max(best, float(np.max(positive[last], where=right, initial=0.0)))
    return best / float(positive[-1]) if positive[-1] > 0 else None


def _of_counts(
    positives: np.ndarray, negatives: np.ndarray, precision: float
) -> float | None:
    """The recall of rising scores of rows that count alike.

    A threshold between two positives finds no more of them than the upper one, and no
    fewer negatives; so the scores of the positives are thresholds enough.
    """
    best = 0
    for start in range(0, positives.size, BLOCK_ROWS):
        some = positives[start : start + BLOCK_ROWS]
        right = positives.size - np.searchsorted(positives, some)
        found = right + negatives.size - np.searchsorted(negatives, some)
        right[right < precision * found] = 0
        best = max(best, int(np.max(right)))
    return best / positives.size if positives.size else None


METRICS = (
    Metric(
        "recall_at_precision",
        f"recall at {PRECISION:.0%} precision",
        lambda p: recall_at_precision(p.logits, p.labels, p.weights),
        direction=1,
    ),
)
