"""Attention pooling that never builds the pair products of the whole batch.

`attention.attention_pooling` written down as einsums holds P = F (F - 1) / 2 products
of k numbers and P hidden layers of t numbers for every row of the batch. Here a loop
walks the batch in blocks of rows that stay in the cache, and the backward pass builds
the products of a block anew; only the weights, a number a pair, are kept for it. Within
a block the rows are the minor axis: products of fields are products of contiguous
vectors, the attention network is one matrix product [t, k] x [k, P rows], and sums over
pairs add whole vectors.

The gradient, with x_p the product of pair p, H_p = W^T x_p + b its hidden layer, a_p its
weight, m_p its dropout scale and g the gradient of the result:

    ds_p = a_p (m_p <g, x_p> - sum_q a_q m_q <g, x_q>)      of the score of p,
    S_p  = ds_p [H_p > 0]                                   of t numbers,
    dx_p = a_p m_p g + W (h * S_p),
    dW   = M * h, db = m * h, dh = sum_k W * M + b * m      with M = sum_p x_p S_p^T,
                                                            m = sum_p S_p.

So dh, too, follows from M and m, and S is the only array of hidden size beside H.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact, interactions
from afm_jax.ops.linear_map import linear_map

# What the largest array of a block may take: measured, see experiments/benchmark.
_BLOCK_BYTES = 3 << 19
_FLOAT_BYTES = 4
# Rows of a block come in whole vector registers of up to 16 floats.
_ROW_UNIT = 16


class Network(NamedTuple):
    """The attention network: kernel [k, t], bias [t], query [t]."""

    kernel: Array
    bias: Array
    query: Array


def block_rows(num_fields: int, embedding_dim: int, attention_dim: int) -> int:
    """Rows of a block: so many that its largest array takes about 1.5 MiB.

    Args:
        num_fields: F.
        embedding_dim: k.
        attention_dim: t.

    Returns:
        A power of two from 16 to 1024.

    Raises:
        InputError: fewer than two fields, so that there is no pair.
    """
    num_pairs = interactions.pair_indices(num_fields)[0].size
    row_bytes = _FLOAT_BYTES * num_pairs * max(embedding_dim + 1, attention_dim)
    power = round(np.log2(_BLOCK_BYTES / row_bytes))
    return int(np.clip(2**power, _ROW_UNIT, 1024))


def attention_pooling(
    embeddings: Float[Array, "B F k"],
    network: Network,
    scale: Float[Array, "B F*(F-1)//2"] | None,
    rows: int | None = None,
) -> Float[jax.Array, "B k"]:
    """As `attention.attention_pooling`.

    Args:
        embeddings: float32 [B, F, k].
        network: the attention network.
        scale: float32 [B, P], by which the weights are multiplied, as a constant: its
            gradient is 0; None for ones.
        rows: rows of a block; None for `block_rows`.

    Returns:
        float32 [B, k].
    """
    blocks = _Blocks.make(embeddings, network, rows)
    if scale is not None:
        scale = blocks.split(scale)
    pooled = _pooling(blocks.split(embeddings), network, scale)
    return blocks.join(pooled)


def attention_weights(
    embeddings: Float[Array, "B F k"], network: Network, rows: int | None = None
) -> Float[jax.Array, "B F*(F-1)//2"]:
    """As `attention.attention_weights`, float32 [B, P] of embeddings [B, F, k]."""
    blocks = _Blocks.make(embeddings, network, rows)
    weights = jax.lax.map(
        lambda vectors: _weights(_hidden(_products(vectors), network), network.query),
        blocks.split(embeddings),
    )
    return blocks.join(weights)


def gradient_of_network(
    network: Network, outer: Float[jax.Array, "k t"], total: Float[jax.Array, " t"]
) -> Network:
    """Gradient of the network from M [k, t] and m [t]; see above."""
    return Network(
        kernel=outer * network.query[None],
        bias=total * network.query,
        query=(network.kernel * outer).sum(axis=0) + network.bias * total,
    )


class _Blocks(NamedTuple):
    """How the rows of a batch, in their order, are dealt out to blocks."""

    num_rows: int
    num: int
    rows: int

    @classmethod
    def make(cls, embeddings: Array, network: Network, rows: int | None) -> "_Blocks":
        num_rows, num_fields, k = embeddings.shape
        most = rows or block_rows(num_fields, k, network.query.shape[0])
        num = max(1, -(-num_rows // most))
        if num == 1:
            return cls(num_rows, 1, num_rows)
        even = -(-num_rows // num)
        return cls(num_rows, num, -(-even // _ROW_UNIT) * _ROW_UNIT)

    def split(self, array: Array) -> jax.Array:
        """[B, ...] as [blocks, ... reversed, rows], filled up with zeros."""
        missing = self.rows * self.num - self.num_rows
        if missing:
            array = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
        array = jnp.reshape(array, (self.num, self.rows, *array.shape[1:]))
        return jnp.transpose(array, (0, *range(array.ndim - 1, 0, -1)))

    def join(self, array: jax.Array) -> jax.Array:
        """The inverse of `split`, for [blocks, any, rows]."""
        array = array.transpose(0, 2, 1).reshape(self.rows * self.num, array.shape[1])
        return array[: self.num_rows]


@jax.custom_jvp
def _pooling(
    vectors: jax.Array, network: Network, scale: jax.Array | None
) -> jax.Array:
    """[blocks, k, rows] of vectors [blocks, k, F, rows], scale [blocks, P, rows]."""
    return _pooling_forward(vectors, network, scale)[0]


def _pooling_forward(vectors, network, scale):
    def block(inputs):
        vectors, scale = inputs
        return _block(vectors, scale, network)

    pooled, weights = jax.lax.map(block, (vectors, scale))
    return pooled, (vectors, network, scale, weights)


def _block(vectors, scale, network):
    """The pooled vectors [k, rows] and the weights [P, rows]."""
    weights = _weights(_hidden(_products(vectors), network), network.query)
    scaled = weights if scale is None else weights * scale
    return _pool(vectors, scaled), weights


@_pooling.defjvp
def _pooling_derivative(inputs, tangents):
    pooled, residuals = _pooling_forward(*inputs)
    # Dropout draws the scale; nobody asks for its gradient.
    *tangents, _ = tangents
    return pooled, linear_map(
        _pooling_tangent, _pooling_backward, residuals, tuple(tangents)
    )


def _pooling_tangent(residuals, tangents):
    vectors, network, scale, _ = residuals
    of_vectors, of_network = tangents

    def block(inputs):
        vectors, scale, of_vectors = inputs
        return jax.jvp(
            lambda vectors, network: _block(vectors, scale, network)[0],
            (vectors, network),
            (of_vectors, of_network),
        )[1]

    return jax.lax.map(block, (vectors, scale, of_vectors))


def _pooling_backward(residuals, gradient):
    vectors, network, scale, weights = residuals
    k, t = network.kernel.shape

    def block(total, inputs):
        vectors_gradient, outer = _block_gradient(network, *inputs)
        return total + outer, vectors_gradient

    total, vectors_gradient = jax.lax.scan(
        block,
        jnp.zeros((k + 1, t), vectors.dtype),
        (vectors, scale, weights, gradient),
    )
    return vectors_gradient, gradient_of_network(network, total[:k], total[k])


def _block_gradient(network, vectors, scale, weights, gradient):
    """Gradient of the vectors [k, F, rows], and M with m as its last row [k + 1, t]."""
    k, num_fields, _ = vectors.shape
    products = _products(vectors)
    hidden = _hidden(products, network)
    of_weights = (gradient[:, None] * products[:k]).sum(axis=0)
    if scale is None:
        scaled = weights
    else:
        of_weights, scaled = of_weights * scale, weights * scale
    mean = (weights * of_weights).sum(axis=0)
    of_scores = weights * (of_weights - mean[None])
    of_hidden = jnp.where(hidden > 0, of_scores[None], 0.0)
    outer = exact.einsum("kn,tn->kt", _flat_pairs(products), _flat_pairs(of_hidden))
    of_products = exact.einsum(
        "kt,tn->kn", network.kernel * network.query[None], _flat_pairs(of_hidden)
    )
    of_products = of_products.reshape(k, *scaled.shape)
    of_products = of_products + scaled[None] * gradient[:, None]
    pairs, others = _partners(num_fields)
    return (
        sum(
            of_products[:, pairs[:, i]] * vectors[:, others[:, i]]
            for i in range(num_fields - 1)
        ),
        outer,
    )


def _products(vectors: jax.Array) -> jax.Array:
    """Products of all pairs, and a row of ones to take the bias: [k + 1, P, rows]."""
    first, second = interactions.pair_indices(vectors.shape[1])
    vectors = jnp.concatenate([vectors, jnp.ones_like(vectors[:1])])
    return vectors[:, first] * vectors[:, second]


def _hidden(products: jax.Array, network: Network) -> jax.Array:
    """The hidden layer before relu, [t, P, rows]."""
    kernel = jnp.concatenate([network.kernel, network.bias[None]])
    hidden = exact.einsum("kt,kn->tn", kernel, _flat_pairs(products))
    return hidden.reshape(-1, *products.shape[1:])


def _flat_pairs(array: jax.Array) -> jax.Array:
    """[any, P, rows] as [any, P rows]: with two axes to sum over XLA is slower."""
    return array.reshape(array.shape[0], -1)


def _weights(hidden: jax.Array, query: Array) -> jax.Array:
    """The softmax over the pairs, [P, rows]."""
    scores = (query[:, None, None] * jax.nn.relu(hidden)).sum(axis=0)
    return jax.nn.softmax(scores, axis=0)


def _pool(vectors: jax.Array, weights: jax.Array) -> jax.Array:
    """sum_i v_i * sum_{j>i} a_ij v_j, [k, rows]."""
    num_fields = vectors.shape[1]
    pooled, start = jnp.zeros_like(vectors[:, 0]), 0
    for i in range(num_fields - 1):
        end = start + num_fields - 1 - i
        others = (weights[None, start:end] * vectors[:, i + 1 :]).sum(axis=1)
        pooled, start = pooled + vectors[:, i] * others, end
    return pooled


@functools.cache
def _partners(num_fields: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each field the F - 1 pairs that it is in, and the other fields there."""
    first, second = interactions.pair_indices(num_fields)
    pairs = np.zeros((num_fields, num_fields), int)
    pairs[first, second] = pairs[second, first] = np.arange(first.size)
    others = np.array([np.delete(np.arange(num_fields), i) for i in range(num_fields)])
    return np.take_along_axis(pairs, others, axis=1), others
