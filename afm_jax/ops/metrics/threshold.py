"""What is found above a threshold of the scores: recall at a wanted precision."""

import numpy as np

from afm_jax.ops.metrics.metric import Metric, check_binary, checked

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
    scores, labels, weights = checked(scores, labels, weights)
    check_binary(labels)
    order = np.argsort(-scores)
    found = np.cumsum(weights[order])
    positive = np.cumsum((weights * labels)[order])
    if not positive.size or not positive[-1] > 0:
        return None
    # Rows of one score are found together: by the last of them.
    last = np.append(np.diff(scores[order]) != 0, True)
    right = last & (positive >= precision * found) & (found > 0)
    return float(np.max(positive, where=right, initial=0.0) / positive[-1])


METRICS = (
    Metric(
        "recall_at_precision",
        f"recall at {PRECISION:.0%} precision",
        lambda p: recall_at_precision(p.logits, p.labels, p.weights),
        direction=1,
    ),
)
