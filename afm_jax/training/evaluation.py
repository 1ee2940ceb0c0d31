"""Metrics of a model over a split, and the best that any model could reach."""

import collections
from collections.abc import Callable, Iterable

import jax
import numpy as np
from absl import logging

from afm_jax.errors import InputError
from afm_jax.features import Array, Batch
from afm_jax.ops import losses, metrics

_IN_FLIGHT = 2
"""Batches handed to the device whose logits are not fetched yet."""


class NotFiniteError(InputError):
    """A logit is NaN or infinite: the model has diverged."""


def evaluate(
    predict: Callable[[Batch], jax.Array],
    batches: Iterable[Batch],
    *,
    loss: str = "sigmoid_cross_entropy",
    groups: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Metrics over all rows of the batches, padding left out.

    Args:
        predict: as for `logits_of`.
        batches: as for `logits_of`.
        loss: name of the loss the model was trained with.
        groups: integer [N], the group of each row in the order of the batches; None: no
            GAUC.

    Returns:
        As `metrics_of`.

    Raises:
        ValueError: as `logits_of` or `metrics_of`.
        InputError: no such loss.
        NotFiniteError: as `logits_of`.
    """
    logits, labels, weights = logits_of(predict, batches)
    return metrics_of(logits, labels, weights, groups, loss=loss)


def logits_of(
    predict: Callable[[Batch], jax.Array], batches: Iterable[Batch]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits and labels of all rows of the batches in their order, padding left out.

    The device computes while the host reads on: logits are fetched two batches late.

    Args:
        predict: batch -> logits [B].
        batches: batches on the host or on devices, with `unique_ids=None`; their arrays are
            [B, ...], or [devices, B / devices, ...].

    Returns:
        Logits, labels and weights, float32 [N] each: the first arguments of
        `metrics_of`.

    Raises:
        ValueError: there is no batch, or logits and labels differ in number.
        NotFiniteError: a logit is NaN or infinite.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    in_flight: collections.deque[tuple[Array, ...]] = collections.deque()
    for batch in batches:
        in_flight.append((predict(batch), batch.labels, batch.weights))
        if len(in_flight) > _IN_FLIGHT:
            parts.append(_fetch(in_flight.popleft()))
    parts.extend(map(_fetch, in_flight))
    if not parts:
        raise ValueError("there is no batch to evaluate")
    logits, labels, weights = map(np.concatenate, zip(*parts, strict=True))
    wrong = np.count_nonzero(~np.isfinite(logits))
    if wrong:
        raise NotFiniteError(f"{wrong} of {logits.size} logits are NaN or infinite.")
    return logits, labels, weights


def metrics_of(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    *,
    loss: str = "sigmoid_cross_entropy",
) -> dict[str, float | None]:
    """Metrics of logits, or of the outputs of a regression.

    Args:
        logits: real [N]. Under 'squared_error' the prediction of 2 label - 1.
        labels: 0 or 1, [N].
        weights: real [N] >= 0 or None (all ones).
        groups: integer [N], as for `ops.metrics.gauc`, or None.
        loss: name of the loss the model was trained with.

    Returns:
        'auc' (None, and a warning, if there is one class only), 'log_loss' in nats,
        'rmse' of probabilities against labels, 'calibration' (None without a positive)
        and 'rows', the number of rows of positive weight. With groups also 'gauc' and
        what it is a mean over: 'gauc_groups', the groups with both classes, and
        'gauc_rows', the rows in them.
        Under 'squared_error', 'log_loss' and 'calibration' are None and 'rmse' is that
        of logits clipped to [-1, 1] against 2 label - 1, as the AFM paper's code has it.

    Raises:
        ValueError: shapes differ, a logit is NaN or infinite, a label is not 0 or 1, or
            no weight is positive.
        InputError: no such loss.
    """
    losses.make(loss)
    result: dict[str, float | None] = {"auc": metrics.auc(logits, labels, weights)}
    if loss == "squared_error":
        clipped, targets = np.clip(logits, -1.0, 1.0), 2.0 * np.asarray(labels) - 1.0
        result["log_loss"] = None
        result["rmse"] = metrics.rmse(clipped, targets, weights)
        result["calibration"] = None
    else:
        probabilities = _sigmoid(logits)
        result["log_loss"] = metrics.log_loss(logits, labels, weights)
        result["rmse"] = metrics.rmse(probabilities, labels, weights)
        result["calibration"] = metrics.calibration(probabilities, labels, weights)
    result["rows"] = len(labels) if weights is None else int(np.count_nonzero(weights))
    if groups is not None:
        result["gauc"] = metrics.gauc(logits, labels, groups, weights)
        result["gauc_groups"], result["gauc_rows"] = metrics.gauc_coverage(
            labels, groups, weights
        )
    if result["auc"] is None:
        logging.warning("The %d rows are all of one class: no AUC.", result["rows"])
    return result


def best_possible(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    loss: str = "sigmoid_cross_entropy",
) -> dict[str, float | None]:
    """Metrics of a model that knows the true probability of every label.

    Args:
        probabilities: real [N] in (0, 1), the probabilities the labels were drawn with.
        labels: 0 or 1, [N].
        loss: as in `metrics_of`.

    Returns:
        'auc', 'log_loss' and 'rmse' as in `metrics_of`.

    Raises:
        ValueError: as `metrics_of`, or a probability is not in (0, 1).
        InputError: no such loss.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if not np.all((probabilities > 0) & (probabilities < 1)):
        raise ValueError("expected probabilities in (0, 1)")
    if loss == "squared_error":
        outputs = 2.0 * probabilities - 1.0
    else:
        outputs = np.log(probabilities) - np.log1p(-probabilities)
    result = metrics_of(outputs, labels, loss=loss)
    return {name: result[name] for name in ("auc", "log_loss", "rmse")}


def _fetch(columns: tuple[Array, ...]) -> tuple[np.ndarray, ...]:
    """The rows of positive weight, on the host; weights are the third column."""
    logits, *others = (np.ravel(column) for column in jax.device_get(columns))
    if logits.shape != others[0].shape:
        raise ValueError(f"{logits.size} logits for {others[0].size} labels")
    real = others[1] > 0
    return logits[real], *(other[real] for other in others)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))
