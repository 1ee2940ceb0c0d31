"""Losses of a logit and a label, row by row, and what the logits mean that they train.

The mean over rows is the caller's. A new loss is a function and an entry of `_LOSSES`, both
in this file: what trains, evaluates, compares and draws reads the entry.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax import errors, hyperparameters
from afm_jax.label_kinds import LABEL_KINDS, narrowest_kind

Function = Callable[..., jax.Array]


def sigmoid_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Binary cross-entropy (log loss) of each row, in nats.

    -y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)), exact for large |z| too.

    Args:
        logits: float [B], z.
        labels: float [B], y in [0, 1].

    Returns:
        float [B].

    Raises:
        ValueError: shapes that differ.
    """
    _check_shapes(logits, labels)
    log_positive = jax.nn.log_sigmoid(logits)
    log_negative = jax.nn.log_sigmoid(-logits)
    return -labels * log_positive - (1.0 - labels) * log_negative


def squared_error(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Squared distance of each logit to the target -1 (label 0) or 1 (label 1).

    (z - (2 y - 1))^2: regression onto -1 and 1 as in the experiments of AFM (Xiao et
    al. 2017, section 4.1), without the factor 1/2 and the sum of its code.

    Args:
        logits: float [B], z.
        labels: float [B], y, 0 or 1.

    Returns:
        float [B].

    Raises:
        ValueError: shapes that differ.
    """
    _check_shapes(logits, labels)
    return (logits - (2.0 * labels - 1.0)) ** 2


def regression(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Squared distance of each output of the model to its real label, (z - y)^2.

    Args:
        logits: float [B], z, the outputs as they are: no sigmoid.
        labels: float [B], y, any real numbers.

    Returns:
        float [B].

    Raises:
        ValueError: shapes that differ.
    """
    _check_shapes(logits, labels)
    return (logits - labels) ** 2


def focal(logits: jax.Array, labels: jax.Array, gamma: float = 2.0) -> jax.Array:
    """Cross-entropy that counts a row less, the surer the model is of its label.

    -(1 - q)^gamma log(q), where q is the probability that the model gives to the label:
    sigmoid(z) where y = 1 and 1 - sigmoid(z) where y = 0 (Lin et al. 2017, eq. 4). With
    gamma = 0 it is the cross-entropy. Above 0, probabilities come out nearer to 1/2 than
    they should be.

    Args:
        logits: float [B], z.
        labels: float [B], y, 0 or 1.
        gamma: how much less, >= 0.

    Returns:
        float [B].

    Raises:
        ValueError: shapes that differ.
    """
    _check_shapes(logits, labels)
    signed = (2.0 * labels - 1.0) * logits
    # 1 - q = sigmoid(-signed), whose power has a gradient wherever its logarithm has.
    weights = jnp.exp(gamma * jax.nn.log_sigmoid(-signed))
    return -weights * jax.nn.log_sigmoid(signed)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probabilities of logits, float64 NumPy, exact for large |z| too."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """The inverse of `sigmoid`."""
    return np.log(probabilities) - np.log1p(-probabilities)


@dataclasses.dataclass(frozen=True)
class Loss:
    """A loss, and what the logits mean of a model that it trained.

    By default the sigmoid of a logit predicts the probability of label 1.

    Attributes:
        name: its name.
        function: (logits [B], labels [B]) -> losses [B]; arguments with a default are
            numbers that a user may set.
        label_kinds: the kinds of labels that it is for, of `label_kinds.LABEL_KINDS`.
        probabilities: whether a prediction is a probability, of which log loss and
            calibration can be measured.
        predict: logits -> predictions, float64 NumPy.
        target: labels -> what predictions should be, float64 NumPy.
        output: true mean labels -> the logits of a model that knows them.
        constant: mean label -> the logit that fits best if all rows have the same; None
            if there is no formula.
    """

    name: str
    function: Function
    label_kinds: tuple[str, ...] = ("binary", "probability")
    probabilities: bool = True
    predict: Callable[[np.ndarray], np.ndarray] = sigmoid
    target: Callable[[np.ndarray], np.ndarray] = np.asarray
    output: Callable[[np.ndarray], np.ndarray] = log_odds
    constant: Callable[[float], float] | None = None

    def __call__(self, logits: jax.Array, labels: jax.Array) -> jax.Array:
        """The losses of rows, [B]."""
        return self.function(logits, labels)

    def label_kind(self, labels: np.ndarray) -> str:
        """Which of its kinds of labels [N] these are: the narrowest that holds them."""
        found = narrowest_kind(labels)
        wider = [kind for kind in LABEL_KINDS if kind in self.label_kinds]
        return found if found in wider else wider[-1]

    def best_constant(self, mean_label: float, num_rows: int) -> float:
        """The logit that fits labels best if it must be the same for every row.

        Args:
            mean_label: weighted mean of the labels.
            num_rows: their number, at least 1. Log odds of labels of one class would be
                infinite; half a row of the other class keeps them finite.
        """
        share = mean_label
        if self.probabilities:
            half_a_row = 0.5 / num_rows
            share = min(max(mean_label, half_a_row), 1.0 - half_a_row)
        return (self.constant or functools.partial(_least, self.function))(share)


_LOSSES = (
    Loss(
        "sigmoid_cross_entropy",
        sigmoid_cross_entropy,
        constant=lambda share: math.log(share) - math.log1p(-share),
    ),
    Loss(
        "squared_error",
        squared_error,
        label_kinds=("binary",),
        probabilities=False,
        predict=lambda outputs: np.clip(outputs, -1.0, 1.0),
        target=lambda labels: 2.0 * np.asarray(labels) - 1.0,
        output=lambda probabilities: 2.0 * probabilities - 1.0,
        constant=lambda share: 2.0 * share - 1.0,
    ),
    Loss("focal", focal, label_kinds=("binary",)),
    Loss(
        "regression",
        regression,
        label_kinds=("real",),
        probabilities=False,
        predict=lambda outputs: np.asarray(outputs, np.float64),
        output=np.asarray,
        constant=lambda mean: mean,
    ),
)


def names() -> tuple[str, ...]:
    """Names that `make` knows."""
    return tuple(loss.name for loss in _LOSSES)


def make(loss: str | Loss | Function, **numbers: Any) -> Loss:
    """The loss of a name, or of a function, whose logits then are log odds.

    Args:
        loss: a name of `names()`; a Loss, which stays as it is; or any function (logits
            [B], labels [B]) -> losses [B].
        numbers: values for arguments of its function.

    Raises:
        InputError: no loss has this name, or it has no such number; or a function is
            none of logits and labels.
    """
    if isinstance(loss, str):
        found = {each.name: each for each in _LOSSES}
        if loss not in found:
            raise errors.InputError(
                f"Unknown loss {loss!r}; choose from {names()}.{errors.did_you_mean(loss, names())}"
            )
        loss = found[loss]
    elif not isinstance(loss, Loss):
        if not callable(loss) or isinstance(loss, type):
            raise errors.InputError(
                f"loss must be one of {names()}, a Loss, or a function of logits and labels, found {errors.shown(loss)}."
            )
        loss = Loss(getattr(loss, "__name__", "loss"), loss)
        _check_function(loss)
    if not numbers:
        return loss
    checked = hyperparameters.check(
        loss.name, hyperparameters.of_function(loss.function), numbers
    )
    return dataclasses.replace(
        loss, function=functools.partial(loss.function, **checked)
    )


def _check_function(loss: Loss) -> None:
    """Raises InputError if it does not give one loss a row."""
    column = jax.ShapeDtypeStruct((3,), jnp.float32)
    expected = f"the loss {loss.name} must be a function (logits [B], labels [B]) -> losses [B]"
    try:
        found = jax.eval_shape(loss.function, column, column)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise errors.InputError(f"{expected}, found: {reason}") from error
    if getattr(found, "shape", None) != column.shape:
        raise errors.InputError(f"{expected}; of 3 rows it gives {errors.shown(found)}")


def _least(function: Function, share: float) -> float:
    """Where the mean loss of equal logits has gradient 0, by bisection in [-40, 40]."""
    labels = jnp.array([0.0, 1.0])
    weights = jnp.array([1.0 - share, share])
    slope = jax.grad(lambda z: weights @ function(jnp.full(2, z), labels))
    low, high = -40.0, 40.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return (low + high) / 2


def _check_shapes(logits: jax.Array, labels: jax.Array) -> None:
    if logits.shape != labels.shape:
        raise ValueError(
            f"logits have shape {logits.shape}, labels {labels.shape}; expected the same"
        )
