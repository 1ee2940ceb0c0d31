"""Normalization over the rows of a batch or over a layer, the same in all models."""

import typing
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Array

Normalization = Literal["batch", "layer", None]


def check(normalization: Normalization) -> None:
    """Raises InputError if there is no such normalization."""
    check_one_of("normalization", normalization, typing.get_args(Normalization))


def normalize(
    inputs: Float[Array, "B d"],
    normalization: Normalization,
    *,
    train: bool,
    name: str,
) -> Float[jax.Array, "B d"]:
    """Inputs of mean 0 and variance 1, times a scale (1), plus a bias (0).

    Called from the module that is to own the scale and the bias.

    Args:
        inputs: float32 [B, d].
        normalization: 'batch' over the rows, 'layer' over d, or None for the inputs.
        train: whether batch normalization uses the statistics of this batch.
        name: of the submodule.

    Returns:
        float32 [B, d].

    Raises:
        InputError: an unknown normalization, or 'layer' with d = 1.
    """
    check(normalization)
    if normalization == "batch":
        return batch_norm(inputs, train=train, name=name)
    if normalization == "layer":
        return layer_norm(inputs, name=name)
    return jnp.asarray(inputs)


def batch_norm(
    inputs: Float[Array, "*shape"], *, train: bool, name: str, axis: int = -1
) -> Float[jax.Array, "*shape"]:
    """(x - mean) / sqrt(variance + 1e-5) over all axes but one (Ioffe and Szegedy 2015).

    Keeps the running mean and variance in the collection 'batch_stats', to be mutable
    if `train`: running = 0.9 running + 0.1 batch. The running variance follows that of
    the batch, sum (x - mean)^2 / n over its n numbers, by which the batch is normalized
    too. PyTorch's follows sum (x - mean)^2 / (n - 1), which is n / (n - 1) times larger.

    Args:
        inputs: float32, the rows first.
        train: whether to use the statistics of this batch or the running ones.
        name: of the submodule.
        axis: the one with statistics, a scale and a bias for each of its entries.

    Returns:
        float32, of the shape of the inputs.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        axis=axis,
        momentum=0.9,
        epsilon=1e-5,
        use_fast_variance=False,  # E[x²] - E[x]² is lost where the mean is large.
        name=name,
    )(inputs)


def layer_norm(
    inputs: Float[Array, "*shape"], *, name: str, feature_axes: Sequence[int] = (-1,)
) -> Float[jax.Array, "*shape"]:
    """(x - mean) / sqrt(variance + 1e-5) over the last axis (Ba et al. 2016).

    Args:
        inputs: float32 [..., d].
        name: of the submodule.
        feature_axes: those with a scale and a bias for each of their entries.

    Returns:
        float32, of the shape of the inputs.

    Raises:
        InputError: the last axis is of one number, which would become a constant.
    """
    if inputs.shape[-1] == 1:
        raise InputError(
            f"Layer normalization '{name}' is over one number, which it makes a constant; give it a wider layer."
        )
    return nn.LayerNorm(
        epsilon=1e-5, use_fast_variance=False, feature_axes=feature_axes, name=name
    )(inputs)
