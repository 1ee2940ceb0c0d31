"""Attention over the pairs of fields.

The functions have implementations that agree:

- 'reference': einsums over the products of all pairs of the whole batch; the
  definition, and what forward-mode and second derivatives need.
- 'blocked': walks the batch in blocks that stay in the cache; see
  `blocked_attention`.
- 'pallas': one GPU kernel; see `pallas_attention`. One GPU only, since the compiler
  does not split a kernel over devices.
- 'auto': 'blocked' on a CPU; 'pallas' where there is one GPU and k and t are at most
  64, as far as it was measured to be faster; 'reference' elsewhere.
"""

import typing
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from afm_jax.errors import check_one_of
from afm_jax.ops import blocked_attention, exact, interactions, pallas_attention

Implementation = Literal["auto", "reference", "blocked", "pallas"]

_IMPLEMENTATIONS = typing.get_args(Implementation)


def attention_weights(
    embeddings: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    query: jax.Array,
    *,
    implementation: Implementation = "auto",
) -> jax.Array:
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
    if choose(implementation, *kernel.shape) != "reference":
        network = blocked_attention.Network(kernel, bias, query)
        weights = blocked_attention.attention_weights(_flat(embeddings), network)
        return weights.reshape(*embeddings.shape[:-2], weights.shape[-1])
    pairs = interactions.pair_products(embeddings)
    return _weights(pairs, kernel, bias, query)


def attention_pooling(
    embeddings: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    query: jax.Array,
    *,
    dropout_rate: float = 0.0,
    key: jax.Array | None = None,
    implementation: Implementation = "auto",
) -> jax.Array:
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
    chosen = choose(implementation, *kernel.shape)
    if chosen != "reference":
        pooling: Callable[..., jax.Array] = blocked_attention.attention_pooling
        if chosen == "pallas":
            pooling = pallas_attention.attention_pooling
        pooled = pooling(
            _flat(embeddings),
            blocked_attention.Network(kernel, bias, query),
            None if scale is None else scale.reshape(-1, num_pairs),
        )
        return pooled.reshape(*batch, k)
    pairs = interactions.pair_products(embeddings)
    weights = _weights(pairs, kernel, bias, query)
    if scale is not None:
        weights = weights * scale
    return exact.einsum("...p,...pk->...k", weights, pairs)


def choose(
    implementation: Implementation, embedding_dim: int, attention_dim: int
) -> Literal["reference", "blocked", "pallas"]:
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
    if jax.default_backend() == "cpu":
        return "blocked"
    one_gpu = jax.default_backend() == "gpu" and jax.device_count() == 1
    if one_gpu and max(embedding_dim, attention_dim) <= pallas_attention.LARGEST_SIDE:
        return "pallas"
    return "reference"


def _flat(embeddings: jax.Array) -> jax.Array:
    """The same with one batch axis."""
    return embeddings.reshape(-1, *embeddings.shape[-2:])


def _weights(
    pairs: jax.Array, kernel: jax.Array, bias: jax.Array, query: jax.Array
) -> jax.Array:
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


def _check_shapes(
    embeddings: jax.Array, kernel: jax.Array, bias: jax.Array, query: jax.Array
) -> None:
    """Raises if the network is not for these embeddings, or there is no pair."""
    (num_fields, k), t = embeddings.shape[-2:], query.shape[-1]
    interactions.pair_indices(num_fields)
    found = (kernel.shape, bias.shape, query.shape)
    if found != ((k, t), (t,), (t,)):
        raise ValueError(
            f"expected kernel [{k}, t], bias [t], query [t] for embeddings of {k} dimensions, found {found}"
        )
