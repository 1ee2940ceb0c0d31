"""How far predictions are from what they should be: log loss, RMSE, MAE, calibration."""

from collections.abc import Callable, Sequence

import numpy as np

from afm_jax.ops.metrics.metric import (
    Block,
    Metric,
    Predicted,
    check_probable,
    mean,
)


def log_loss(
    logits: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean binary cross-entropy in nats, log(1 + e^z) - y z, for any finite logit z.

    Args:
        logits: real [N].
        labels: y in [0, 1], [N]. Of a probability y it is the mean over labels 0 and 1
            drawn with it.
        weights: real [N] >= 0 or None.

    Raises:
        ValueError: shapes differ, a logit is NaN or infinite, a label is not in [0, 1],
            a weight is negative or not finite, or the weights sum to 0.
    """
    return mean(Predicted(logits, labels, weights=weights), _cross_entropies)


def rmse(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Root of the mean squared difference of real predictions and targets, [N] each.

    Raises:
        ValueError: shapes differ, a prediction is NaN or infinite, a weight is negative
            or not finite, or the weights sum to 0.
    """
    return _rmse(Predicted(predictions, targets, weights=weights))


def mae(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Mean absolute difference of real predictions and targets, [N] each.

    Raises:
        ValueError: as `rmse`.
    """
    return mean(Predicted(predictions, targets, weights=weights), _distances)


def calibration(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> float | None:
    """Mean prediction / mean label: above 1, the model predicts too many positives.

    Args:
        probabilities: real [N] in [0, 1].
        labels: in [0, 1], [N].
        weights: real [N] >= 0 or None.

    Returns:
        The ratio, or None if no row of positive weight has a label above 0.

    Raises:
        ValueError: as `log_loss`, but for the sum of the weights.
    """
    return _calibration(Predicted(probabilities, labels, weights=weights))


def _cross_entropies(rows: Predicted | Block) -> np.ndarray:
    check_probable(rows.labels)
    return np.logaddexp(0.0, rows.logits) - rows.labels * rows.logits


def _distances(rows: Predicted | Block) -> np.ndarray:
    return np.abs(rows.predictions - rows.targets)


def _squares(rows: Predicted | Block) -> np.ndarray:
    return (rows.predictions - rows.targets) ** 2


def _rmse(predicted: Predicted) -> float:
    return float(np.sqrt(mean(predicted, _squares)))


def _calibration(predicted: Predicted) -> float | None:
    positive = total = 0.0
    for block in predicted.blocks():
        check_probable(block.labels)
        positive += float(block.weights @ block.labels)
        total += float(block.weights @ block.predictions)
    return total / positive if positive > 0 else None


def _resampled_mean(
    each: Callable[[Predicted], np.ndarray],
) -> Callable[[Sequence[Predicted]], Callable[[np.ndarray], np.ndarray]]:
    """How the weighted mean of a number of each row is measured under many weightings."""

    def resampled(runs: Sequence[Predicted]) -> Callable[[np.ndarray], np.ndarray]:
        values = np.stack([each(run) for run in runs], axis=1)

        def measure(weights: np.ndarray) -> np.ndarray:
            total = weights.sum(axis=1, dtype=np.float64)
            return (weights.astype(np.float64) @ values).T / total

        return measure

    return resampled


def _resampled_rmse(runs: Sequence[Predicted]) -> Callable[[np.ndarray], np.ndarray]:
    measure = _resampled_mean(_squares)(runs)
    return lambda weights: np.sqrt(measure(weights))


METRICS = (
    Metric(
        "log_loss",
        "log loss",
        lambda p: mean(p, _cross_entropies),
        direction=-1,
        label_kinds=("binary", "probability"),
        needs_probabilities=True,
        resampled=_resampled_mean(_cross_entropies),
        tested_on=("binary", "probability"),
    ),
    Metric(
        "rmse",
        "RMSE",
        _rmse,
        direction=-1,
        label_kinds=("binary", "probability", "real"),
        resampled=_resampled_rmse,
        tested_on=("real",),
    ),
    Metric(
        "mae",
        "MAE",
        lambda p: mean(p, _distances),
        direction=-1,
        label_kinds=("real",),
        resampled=_resampled_mean(_distances),
        tested_on=("real",),
    ),
    Metric(
        "calibration",
        "calibration",
        _calibration,
        label_kinds=("binary", "probability"),
        needs_probabilities=True,
    ),
)
