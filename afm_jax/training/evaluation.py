"""Metrics of a model over a split, and the best that any model could reach."""

import collections
from collections.abc import Callable, Iterable

import jax
import numpy as np
from absl import logging

from afm_jax.errors import InputError
from afm_jax.features import Array, Batch
from afm_jax.ops import losses
from afm_jax.ops.losses import Loss
from afm_jax.ops.metrics import DIRECTIONS, METRICS, Predicted

_IN_FLIGHT = 2
"""Batches handed to the device whose logits are not fetched yet."""


class NotFiniteError(InputError):
    """A logit is NaN or infinite: the model has diverged."""


def evaluate(
    predict: Callable[[Batch], jax.Array],
    batches: Iterable[Batch],
    *,
    loss: str | Loss = "sigmoid_cross_entropy",
    groups: np.ndarray | None = None,
) -> dict[str, float | None]:
    """Metrics over all rows of the batches, padding left out.

    Args:
        predict: as for `logits_of`.
        batches: as for `logits_of`.
        loss: the loss the model was trained with, or its name.
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
    loss: str | Loss = "sigmoid_cross_entropy",
) -> dict[str, float | None]:
    """Metrics of logits, or of the outputs of a regression.

    Args:
        logits: real [N].
        labels: [N], of a kind that the loss is for.
        weights: real [N] >= 0 or None (all ones).
        groups: integer [N], as for `ops.metrics.gauc`, or None.
        loss: the loss the model was trained with, or its name.

    Returns:
        The value of each metric of `ops.metrics` for labels of this kind. For labels 0
        and 1: 'auc' (None, and a warning, if there is one class only), 'log_loss' in
        nats, 'rmse' of predictions against targets, 'calibration' (None without a
        positive), and so on; those of probabilities are None where the loss predicts
        none. For labels that are probabilities there is no ranking of two classes, and
        so no 'auc'; for real labels there are 'rmse' and 'mae'. Then 'rows', the number
        of rows of positive weight. With groups also the metrics within groups and what they are a mean
        over: 'gauc', 'gauc_groups', the groups with both classes, and 'gauc_rows', the
        rows in them.
        Under 'squared_error' predictions are logits clipped to [-1, 1] and targets 2
        label - 1, as the AFM paper's code has it.

    Raises:
        ValueError: shapes differ, a logit is NaN or infinite, a label is none that the
            loss is for, or no weight is positive.
        InputError: no such loss.
    """
    loss = losses.make(loss)
    of_rows = predicted(logits, labels, weights, groups, loss=loss)
    kind = loss.label_kind(np.asarray(labels))
    rows = len(labels) if weights is None else int(np.count_nonzero(weights))
    result: dict[str, float | None] = {}
    within_groups: dict[str, float | None] = {}
    for name, metric in METRICS.items():
        if kind not in metric.label_kinds or (metric.needs_groups and groups is None):
            continue
        into = within_groups if metric.needs_groups else result
        measured = loss.probabilities or not metric.needs_probabilities
        into[name] = metric.measure(of_rows) if measured else None
        into.update(metric.counts(of_rows))
        if into[name] is None and measured and metric.without:
            logging.warning("The %d rows are %s.", rows, metric.without)
    return {**result, "rows": rows, **within_groups}


def predicted(
    logits: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    *,
    loss: Loss,
) -> Predicted:
    """What metrics are measured of; arguments as for `metrics_of`."""
    return Predicted(logits, labels, loss.predict, loss.target, weights, groups)


def best_possible(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    loss: str | Loss = "sigmoid_cross_entropy",
) -> dict[str, float | None]:
    """Metrics of a model that knows the true probability of every label.

    Args:
        probabilities: real [N] in (0, 1), the probabilities the labels were drawn with.
        labels: 0 or 1, [N].
        loss: as in `metrics_of`.

    Returns:
        As `metrics_of`, of the metrics that tell which of two models is better, but for
        those within groups.

    Raises:
        ValueError: as `metrics_of`, or a probability is not in (0, 1).
        InputError: no such loss.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if not np.all((probabilities > 0) & (probabilities < 1)):
        raise ValueError("expected probabilities in (0, 1)")
    loss = losses.make(loss)
    result = metrics_of(loss.output(probabilities), labels, loss=loss)
    return {name: result[name] for name in DIRECTIONS if name in result}


def _fetch(columns: tuple[Array, ...]) -> tuple[np.ndarray, ...]:
    """The rows of positive weight, on the host; weights are the third column."""
    logits, *others = (np.ravel(column) for column in jax.device_get(columns))
    if logits.shape != others[0].shape:
        raise ValueError(f"{logits.size} logits for {others[0].size} labels")
    real = others[1] > 0
    return logits[real], *(other[real] for other in others)
