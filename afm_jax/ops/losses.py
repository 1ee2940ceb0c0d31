"""Losses of a logit and a 0/1 label, row by row; the mean over rows is the caller's."""

from collections.abc import Callable

import jax

from afm_jax import errors

Loss = Callable[[jax.Array, jax.Array], jax.Array]


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


_LOSSES: dict[str, Loss] = {
    loss.__name__: loss for loss in (sigmoid_cross_entropy, squared_error)
}


def names() -> tuple[str, ...]:
    """Names that `make` knows."""
    return tuple(_LOSSES)


def make(name: str) -> Loss:
    """The loss of that name.

    Raises:
        InputError: no loss has this name.
    """
    if name not in _LOSSES:
        raise errors.InputError(
            f"Unknown loss {name!r}; choose from {names()}.{errors.did_you_mean(name, names())}"
        )
    return _LOSSES[name]


def _check_shapes(logits: jax.Array, labels: jax.Array) -> None:
    if logits.shape != labels.shape:
        raise ValueError(
            f"logits have shape {logits.shape}, labels {labels.shape}; expected the same"
        )
