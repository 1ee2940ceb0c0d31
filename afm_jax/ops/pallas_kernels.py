"""The two kernels of `pallas_attention`: what a program computes of its tile of rows.

A program walks the pairs of fields. The product of a pair, its hidden layer and its score
live in registers; the softmax over the pairs is updated from pair to pair (online
softmax), so that the forward pass reads the embeddings and writes the pooled vectors and
nothing of the size of the pairs. The backward pass computes the products anew, in the
letters of `blocked_attention`, and adds the gradient of a pair's second field to what the
program has written for that field before, in the cache.

Per row and pair the forward pass makes one product of [k] x [k, t], the backward pass
three: 2 k t (1 + 3) flops, for 4 F k bytes read in each pass (again from cache for each
partner) and 4 F k bytes written.
"""

from typing import Any

import jax
import jax.numpy as jnp


def forward(interpret: bool, num_fields: int, has_scale: bool, *refs: Any) -> None:
    """The pooled vectors of a tile, and the logarithm of the softmax's denominator.

    Args:
        interpret: whether the kernel is interpreted, where there is no TF32.
        num_fields: F.
        has_scale: whether dropout scales the weights.
        *refs: in, vectors [F, rows, k], kernel [k, t], bias [t], query [t] and, if there
            is one, scale [P, rows]; out, pooled [rows, k] and normalizer [rows].
    """
    vectors, kernel, bias, query, *rest = refs
    scale = rest.pop(0) if has_scale else None
    pooled, normalizer = rest
    weight, offset, h = kernel[:], bias[:], query[:]
    tile = (pooled.shape[0],)

    def first_field(i, carry):
        first = vectors[i]

        def second_field(j, carry):
            largest, total, pooled = carry
            product = first * vectors[j]
            hidden = _hidden(product, weight, offset, interpret)
            score = (jax.nn.relu(hidden) * h[None]).sum(axis=1)
            new_largest = jnp.maximum(largest, score)
            shrink = jnp.exp(largest - new_largest)
            share = jnp.exp(score - new_largest)
            total = total * shrink + share
            if scale is not None:
                share = share * scale[_pair(i, j, num_fields)]
            pooled = pooled * shrink[:, None] + share[:, None] * product
            return new_largest, total, pooled

        return jax.lax.fori_loop(i + 1, num_fields, second_field, carry)

    start = (
        jnp.full(tile, -jnp.inf),
        jnp.zeros(tile),
        jnp.zeros(pooled.shape),
    )
    largest, total, result = jax.lax.fori_loop(0, num_fields - 1, first_field, start)
    pooled[:, :] = result / total[:, None]
    normalizer[:] = largest + jnp.log(total)


def backward(interpret: bool, num_fields: int, has_scale: bool, *refs: Any) -> None:
    """The gradient of the vectors of a tile, and its part of M and m.

    Args:
        interpret: as in `forward`.
        num_fields: F.
        has_scale: as in `forward`.
        *refs: in, vectors, kernel, bias and query as in `forward`, normalizer [rows],
            mean [rows], which is the sum of the gradient times the pooled vector, gradient
            [rows, k] and, if there is one, scale [P, rows]; out, the gradient of the
            vectors [F, rows, k], M [1, k, t] and m [1, t].
    """
    vectors, kernel, bias, query, normalizer, mean, gradient, *rest = refs
    scale = rest.pop(0) if has_scale else None
    vectors_gradient, outer, total = rest
    weight, offset, h = kernel[:], bias[:], query[:]
    back = (weight * h[None]).transpose()
    upstream, of_mean, log_total = gradient[:, :], mean[:], normalizer[:]

    def clear(i, _):
        vectors_gradient[i] = jnp.zeros(upstream.shape)

    def first_field(i, sums):
        first = vectors[i]

        def second_field(j, carry):
            of_first, of_kernel, of_bias = carry
            second = vectors[j]
            product = first * second
            hidden = _hidden(product, weight, offset, interpret)
            score = (jax.nn.relu(hidden) * h[None]).sum(axis=1)
            share = jnp.exp(score - log_total)
            of_share = (upstream * product).sum(axis=1)
            scaled = share
            if scale is not None:
                factor = scale[_pair(i, j, num_fields)]
                of_share, scaled = of_share * factor, share * factor
            of_score = share * (of_share - of_mean)
            of_hidden = jnp.where(hidden > 0, of_score[:, None], 0.0)
            of_product = _dot(of_hidden, back, interpret) + scaled[:, None] * upstream
            vectors_gradient[j] += of_product * first
            return (
                of_first + of_product * second,
                of_kernel + _dot(product.transpose(), of_hidden, interpret),
                of_bias + of_hidden.sum(axis=0),
            )

        of_first, *sums = jax.lax.fori_loop(
            i + 1, num_fields, second_field, (jnp.zeros_like(first), *sums)
        )
        vectors_gradient[i] += of_first
        return tuple(sums)

    jax.lax.fori_loop(0, num_fields, clear, None)
    start = (jnp.zeros(weight.shape), jnp.zeros(offset.shape))
    outer[0], total[0] = jax.lax.fori_loop(0, num_fields, first_field, start)


def _hidden(product, weight, offset, interpret):
    return _dot(product, weight, interpret) + offset[None]


def _dot(left: jax.Array, right: jax.Array, interpret: bool) -> jax.Array:
    """A matrix product in float32; on tensor cores as three products of TF32."""
    precision: Any = jax.lax.DotAlgorithmPreset.TF32_TF32_F32_X3
    if interpret:
        precision = jax.lax.Precision.HIGHEST
    return jnp.dot(left, right, precision=precision)


def _pair(first: jax.Array, second: jax.Array, num_fields: int) -> jax.Array:
    """The place of the pair in the order of `interactions.pair_indices`."""
    return first * num_fields - first * (first + 1) // 2 + second - first - 1
