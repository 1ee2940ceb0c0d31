"""How far predictions are from what they should be: log loss, RMSE, calibration."""

from collections.abc import Callable, Sequence

import numpy as np

from afm_jax.ops.metrics.metric import Metric, check_binary, checked, mean


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
    logits, labels, weights = checked(logits, labels, weights)
    check_binary(labels)
    return mean(np.logaddexp(0.0, logits) - labels * logits, weights)


def rmse(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Root of the mean squared difference of real predictions and targets, [N] each.

    Raises:
        ValueError: shapes differ, a prediction is NaN or infinite, a weight is negative
            or not finite, or the weights sum to 0.
    """
    predictions, targets, weights = checked(predictions, targets, weights)
    return float(np.sqrt(mean((predictions - targets) ** 2, weights)))


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
    probabilities, labels, weights = checked(probabilities, labels, weights)
    check_binary(labels)
    positive = weights @ labels
    return float(weights @ probabilities / positive) if positive > 0 else None


def _resampled_log_loss(
    logits: Sequence[np.ndarray], labels: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    losses = np.stack([np.logaddexp(0.0, z) - labels * z for z in logits], axis=1)

    def measure(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1, dtype=np.float64)
        return (weights.astype(np.float64) @ losses).T / total

    return measure


METRICS = (
    Metric(
        "log_loss",
        "log loss",
        lambda p: log_loss(p.logits, p.labels, p.weights),
        direction=-1,
        needs_probabilities=True,
        resampled=_resampled_log_loss,
    ),
    Metric(
        "rmse",
        "RMSE",
        lambda p: rmse(p.predictions, p.targets, p.weights),
        direction=-1,
    ),
    Metric(
        "calibration",
        "calibration",
        lambda p: calibration(p.predictions, p.labels, p.weights),
        needs_probabilities=True,
    ),
)
