"""Attention over the pairs of fields.

The functions have implementations that agree:

- 'reference': einsums over the products of all pairs of the whole batch; the
  definition.
- 'blocked': walks the batch in blocks that stay in the cache; see
  `blocked_attention`.
- 'pallas': one GPU kernel; see `pallas_attention`. Where it cannot be compiled, 'blocked'
  on a CPU and 'reference' elsewhere, with a line in the log.
- 'auto': 'blocked' on a CPU; 'pallas' on a GPU if k and t are at most 64, as far as it
  was measured to be faster; 'reference' elsewhere, and on several GPUs that no mesh
  names.

Each device of a mesh computes its own rows; see `batch_split`. A batch whose number of
rows is a symbol, as in `jax.export`, takes 'reference' whatever is asked for.
"""

import functools
import logging
import typing
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.errors import check_one_of
from afm_jax.features import Array
from afm_jax.ops import (
    batch_split,
    blocked_attention,
    exact,
    interactions,
    pallas_attention,
)

Implementation = Literal["auto", "reference", "blocked", "pallas"]
Chosen = Literal["reference", "blocked", "pallas"]

_IMPLEMENTATIONS = typing.get_args(Implementation)

_log = logging.getLogger(__name__)


def attention_weights(
    embeddings: Float[Array, "*batch F k"],
    kernel: Float[Array, "k t"],
    bias: Float[Array, " t"],
    query: Float[Array, " t"],
    *,
    implementation: Implementation = "auto",
) -> Float[jax.Array, "*batch F*(F-1)//2"]:
    """How much each pair of fields counts: the softmax of a score over the pairs.

    a_ij = softmax_ij(h^T relu(W (v_i * v_j) x_i x_j + b)), the attention network of AFM
    (Xiao et al. 2017, eq. 5).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        kernel: float [k, t], the paper's W.
        bias: float [t], b.
        query: float [t], h.
        implementation: one of `Implementation`; 'pallas' is 'blocked' here.

    Returns:
        float [batch..., P], P = F (F - 1) / 2, positive and of sum 1 over the pairs,
        which are in the order of `interactions.pair_indices`.

    Raises:
        InputError: fewer than two fields, so that there is no pair, or an unknown
            implementation.
        ValueError: shapes that do not match.
    """
    _check_shapes(embeddings, kernel, bias, query)
    # A kernel that writes the weights would save nothing: they are its largest array.
    if _chosen(implementation, embeddings, kernel) != "reference":
        rows, network = _flat(embeddings), (kernel, bias, query)
        function = batch_split.by_rows(
            blocked_attention.attention_weights, rows.shape[0], whole=(1,)
        )
        weights = function(rows, blocked_attention.Network(*network))
        return weights.reshape(*embeddings.shape[:-2], weights.shape[-1])
    pairs = interactions.pair_products(embeddings)
    return _weights(pairs, kernel, bias, query)


def attention_pooling(
    embeddings: Float[Array, "*batch F k"],
    kernel: Float[Array, "k t"],
    bias: Float[Array, " t"],
    query: Float[Array, " t"],
    *,
    dropout_rate: float = 0.0,
    key: jax.Array | None = None,
    implementation: Implementation = "auto",
) -> Float[jax.Array, "*batch k"]:
    """Mean of the pair products, each weighted by its attention.

    sum_{i<j} a_ij (v_i * v_j) x_i x_j, a_ij as in `attention_weights`: the
    attention-based pooling of AFM (Xiao et al. 2017, eq. 4). The weights have sum 1,
    so the result is of the size of one product, not of P products.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        kernel: float [k, t], the paper's W.
        bias: float [t], b.
        query: float [t], h.
        dropout_rate: chance in [0, 1) that a weight is set to 0; those that are left
            are divided by 1 - dropout_rate.
        key: random key of the dropout; needed if `dropout_rate` is above 0. The same
            weights are dropped by every implementation.
        implementation: one of `Implementation`.

    Returns:
        float [batch..., k].

    Raises:
        InputError: fewer than two fields, so that there is no pair, or an unknown
            implementation.
        ValueError: shapes that do not match, a dropout rate out of range or without a
            key.
    """
    _check_shapes(embeddings, kernel, bias, query)
    *batch, num_fields, k = embeddings.shape
    num_pairs = len(interactions.pair_indices(num_fields)[0])
    scale = None
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"expected a dropout_rate in [0, 1), found {dropout_rate}")
    if dropout_rate > 0:
        scale = _dropout_scale(key, dropout_rate, (*batch, num_pairs))
    chosen = _chosen(implementation, embeddings, kernel)
    if chosen != "reference":
        module = pallas_attention if chosen == "pallas" else blocked_attention
        rows, network = _flat(embeddings), (kernel, bias, query)
        function = batch_split.by_rows(
            module.attention_pooling, rows.shape[0], whole=(1,)
        )
        flat_scale = None if scale is None else scale.reshape(-1, num_pairs)
        pooled = function(rows, blocked_attention.Network(*network), flat_scale)
        return pooled.reshape(*batch, k)
    pairs = interactions.pair_products(embeddings)
    weights = _weights(pairs, kernel, bias, query)
    if scale is not None:
        weights = weights * scale
    return exact.einsum("...p,...pk->...k", weights, pairs)


def choose(
    implementation: Implementation, embedding_dim: int, attention_dim: int
) -> Chosen:
    """The implementation that 'auto' stands for on this machine, or the named one.

    Args:
        implementation: one of `Implementation`.
        embedding_dim: k.
        attention_dim: t.

    Raises:
        InputError: an unknown implementation.
    """
    check_one_of("implementation", implementation, _IMPLEMENTATIONS)
    if implementation != "auto":
        return implementation
    if _platform() == "cpu":
        return "blocked"
    small = max(embedding_dim, attention_dim) <= pallas_attention.LARGEST_SIDE
    # The compiler does not split a kernel over devices.
    whole = jax.device_count() > 1 and batch_split.num_parts() == 1
    return "pallas" if _platform() == "gpu" and small and not whole else "reference"


def _chosen(implementation: Implementation, embeddings: Array, kernel: Array) -> Chosen:
    """What computes it: the choice, or what takes its place where it cannot."""
    chosen = choose(implementation, *kernel.shape)
    if not all(isinstance(size, int) for size in embeddings.shape):
        return "reference"  # Blocks and tiles need a number of rows.
    return (
        _kernel_or_other(_platform(), *kernel.shape) if chosen == "pallas" else chosen
    )


@functools.cache
def _kernel_or_other(platform: str, k: int, t: int) -> Chosen:
    """'pallas' if it can be compiled; cached, so that the line is logged once."""
    why_not: str | None = f"this is a {platform}"
    if platform == "gpu":
        why_not = pallas_attention.missing(k, t)
    if why_not is None:
        return "pallas"
    other: Chosen = "blocked" if platform == "cpu" else "reference"
    _log.warning(
        "The GPU kernel of attention cannot be compiled; '%s' takes its place. %s",
        other,
        why_not,
    )
    return other


def _platform() -> str:
    """'cpu', 'gpu' or 'tpu', which is compiled for."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return jax.default_backend() if device is None else device.platform


def _flat(embeddings: Array) -> jax.Array:
    """The same with one batch axis."""
    return jnp.reshape(embeddings, (-1, *embeddings.shape[-2:]))


def _weights(pairs: Array, kernel: Array, bias: Array, query: Array) -> jax.Array:
    hidden = exact.einsum("...pk,kt->...pt", pairs, kernel)
    hidden = jax.nn.relu(hidden + jnp.broadcast_to(bias, hidden.shape))
    scores = exact.einsum("...pt,t->...p", hidden, query)
    return jax.nn.softmax(scores, axis=-1)


def _dropout_scale(
    key: jax.Array | None, rate: float, shape: tuple[int, ...]
) -> jax.Array:
    """1 / (1 - rate) where a weight is kept, 0 where it is dropped."""
    if key is None:
        raise ValueError(f"dropout_rate is {rate}, so a key is needed; found None")
    keep = 1.0 - rate
    return jax.random.bernoulli(key, keep, shape) / keep


def _check_shapes(embeddings: Array, kernel: Array, bias: Array, query: Array) -> None:
    """Raises if the network is not for these embeddings, or there is no pair."""
    (num_fields, k), t = embeddings.shape[-2:], query.shape[-1]
    interactions.pair_indices(num_fields)
    found = (kernel.shape, bias.shape, query.shape)
    if found != ((k, t), (t,), (t,)):
        raise ValueError(
            f"expected kernel [{k}, t], bias [t], query [t] for embeddings of {k} dimensions, found {found}"
        )
