"""Attention pooling as a GPU kernel (Pallas, Triton): no pair product leaves the chip.

A program takes a tile of rows and walks the pairs of fields. The product of a pair, its
hidden layer and its score live in registers; the softmax over the pairs is updated from
pair to pair (online softmax), so that the forward pass reads the embeddings and writes
the pooled vectors and nothing of the size of the pairs. The backward pass computes the
products anew, in the letters of `blocked_attention`, and adds the gradient of a pair's
second field to what the program has written for that field before, in the cache.

Per row and pair the forward pass makes one product of [k] x [k, t], the backward pass
three: 2 k t (1 + 3) flops, for 4 F k bytes read in each pass (again from cache for each
partner) and 4 F k bytes written.
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.sharding import AbstractMesh, AxisType, use_abstract_mesh

from afm_jax.ops import blocked_attention
from afm_jax.ops.blocked_attention import Network, gradient_of_network
from afm_jax.ops.linear_map import linear_map

# Sizes of arrays in a Triton kernel are powers of two, sides of its matrix products
# at least 16.
_SMALLEST_SIDE = 16

LARGEST_SIDE = 64
"""The largest k and t for which the kernel was measured; the arrays of a program must
fit in its registers."""


def attention_pooling(
    embeddings: jax.Array,
    network: Network,
    scale: jax.Array | None,
    *,
    interpret: bool = False,
) -> jax.Array:
    """As `attention.attention_pooling`.

    Args:
        embeddings: float32 [B, F, k].
        network: the attention network.
        scale: float32 [B, P], by which the weights are multiplied, as a constant: its
            gradient is 0; None for ones.
        interpret: whether to run the kernel by interpreting it, on any device.

    Returns:
        float32 [B, k].
    """
    (num_rows, _, k), t = embeddings.shape, network.query.shape[0]
    rows = -num_rows % _tiling(k, t)[0]
    columns, units = _side(k) - k, _side(t) - t
    # Zeros change nothing: a column of zeros adds 0 to every score and product.
    vectors = jnp.pad(embeddings, ((0, rows), (0, 0), (0, columns))).transpose(1, 0, 2)
    network = Network(
        jnp.pad(network.kernel, ((0, columns), (0, units))),
        jnp.pad(network.bias, (0, units)),
        jnp.pad(network.query, (0, units)),
    )
    if scale is not None:
        scale = jnp.pad(scale, ((0, rows), (0, 0))).transpose()
    return _pooling(interpret, vectors, network, scale)[:num_rows, :k]


def missing(embedding_dim: int, attention_dim: int) -> str | None:
    """Why jax does not lower the kernels, in one line; None if it does.

    The Triton backend of Pallas is deprecated: a later jax has none.

    Args:
        embedding_dim: k.
        attention_dim: t.
    """
    k, t = embedding_dim, attention_dim
    shapes = ((_SMALLEST_SIDE, 2, k), (k, t), (t,), (t,))
    inputs = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)

    def objective(embeddings, *network):
        return attention_pooling(embeddings, Network(*network), None).sum()

    gradient = jax.jit(jax.grad(objective))
    # For the same device, whatever axes are being split around it.
    device = jax.sharding.get_abstract_mesh().abstract_device
    alone = AbstractMesh((1,), ("one",), (AxisType.Auto,), abstract_device=device)
    try:
        with warnings.catch_warnings(), use_abstract_mesh(alone):
            warnings.simplefilter("ignore", DeprecationWarning)
            gradient.trace(*inputs).lower(lowering_platforms=("cuda",))
    except Exception as error:  # Whatever it is that a later jax raises.
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None


def _side(size: int) -> int:
    """The power of two, 16 or more, to which an axis is filled up."""
    return max(_SMALLEST_SIDE, 1 << (size - 1).bit_length())


def _tiling(k: int, t: int) -> tuple[int, int]:
    """Rows of a tile and warps of its program: measured, see experiments/benchmark."""
    return (32, 2) if max(k, t) <= 32 else (16, 4)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _pooling(
    interpret: bool, vectors: jax.Array, network: Network, scale: jax.Array | None
) -> jax.Array:
    """[B, k] of vectors [F, B, k] and scale [P, B], all sizes filled up."""
    return _forward(interpret, vectors, network, scale)[0]


def _forward(interpret, vectors, network, scale):
    num_fields, num_rows, k = vectors.shape
    tiling = _tiling(k, network.query.shape[0])
    shapes = (
        jax.ShapeDtypeStruct((num_rows, k), jnp.float32),
        jax.ShapeDtypeStruct((num_rows,), jnp.float32),
    )
    inputs = (vectors, *network, *_present(scale))
    pooled, normalizer = _call(
        functools.partial(_forward_kernel, interpret, num_fields, scale is not None),
        num_rows,
        tiling,
        in_specs=_input_specs(tiling[0], vectors, network, scale),
        out_specs=(_tile(tiling[0], k), _tile(tiling[0])),
        out_shape=shapes,
        interpret=interpret,
    )(*inputs)
    return pooled, (vectors, network, scale, pooled, normalizer)


def _backward(interpret, residuals, gradient):
    vectors, network, scale, pooled, normalizer = residuals
    num_fields, num_rows, k = vectors.shape
    t = network.query.shape[0]
    tiling = _tiling(k, t)
    rows, tiles = tiling[0], num_rows // tiling[0]
    mean = (gradient * pooled).sum(axis=1)
    inputs = (vectors, *network, normalizer, mean, gradient, *_present(scale))
    specs = _input_specs(rows, vectors, network, scale)
    vectors_gradient, outer, total = _call(
        functools.partial(_backward_kernel, interpret, num_fields, scale is not None),
        num_rows,
        tiling,
        in_specs=(*specs[:4], _tile(rows), _tile(rows), _tile(rows, k), *specs[4:]),
        out_specs=(
            _fields_tile(rows, vectors),
            pl.BlockSpec((1, k, t), lambda tile: (tile, 0, 0)),
            pl.BlockSpec((1, t), lambda tile: (tile, 0)),
        ),
        out_shape=(
            jax.ShapeDtypeStruct(vectors.shape, jnp.float32),
            jax.ShapeDtypeStruct((tiles, k, t), jnp.float32),
            jax.ShapeDtypeStruct((tiles, t), jnp.float32),
        ),
        interpret=interpret,
    )(*inputs)
    return vectors_gradient, gradient_of_network(
        network, outer.sum(axis=0), total.sum(axis=0)
    )


@_pooling.defjvp
def _derivative(interpret, inputs, tangents):
    pooled, residuals = _forward(interpret, *inputs)
    back = functools.partial(_backward, interpret)
    # Dropout draws the scale; nobody asks for its gradient.
    *tangents, _ = tangents
    return pooled, linear_map(_tangent, back, residuals, tuple(tangents))


def _tangent(residuals, tangents):
    """By blocks: forward mode is rare, and has no kernel of its own."""
    vectors, network, scale, *_ = residuals

    def by_blocks(vectors, network):
        return blocked_attention.attention_pooling(
            vectors.transpose(1, 0, 2),
            network,
            None if scale is None else scale.transpose(),
        )

    return jax.jvp(by_blocks, (vectors, network), tangents)[1]


def _forward_kernel(interpret, num_fields, has_scale, *refs):
    """Refs: vectors, kernel, bias, query, scale if any; pooled, normalizer."""
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


def _backward_kernel(interpret, num_fields, has_scale, *refs):
    """Refs: vectors, kernel, bias, query, normalizer, mean, gradient, scale if any;
    gradient of the vectors, M and m of the tile."""
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


def _present(scale: jax.Array | None) -> tuple[jax.Array, ...]:
    return () if scale is None else (scale,)


def _tile(rows: int, *minor: int) -> pl.BlockSpec:
    """The rows of the program's tile of an array [B, minor...]."""
    return pl.BlockSpec((rows, *minor), lambda tile: (tile, *(0 for _ in minor)))


def _fields_tile(rows: int, array: jax.Array) -> pl.BlockSpec:
    """The rows of the program's tile of an array [F or P, B, minor...]."""
    minor = array.shape[2:]
    return pl.BlockSpec(
        (array.shape[0], rows, *minor), lambda tile: (0, tile, *(0 for _ in minor))
    )


def _input_specs(
    rows: int, vectors: jax.Array, network: Network, scale: jax.Array | None
) -> tuple[pl.BlockSpec, ...]:
    whole = (
        pl.BlockSpec(array.shape, lambda tile, n=array.ndim: (0,) * n)
        for array in network
    )
    scales = (_fields_tile(rows, array) for array in _present(scale))
    return (_fields_tile(rows, vectors), *whole, *scales)


def _call(kernel: Any, num_rows: int, tiling: tuple[int, int], **settings: Any) -> Any:
    # Here, since a later jax has no such module.
    import jax.experimental.pallas.triton as triton

    rows, warps = tiling
    return pl.pallas_call(
        kernel,
        grid=(num_rows // rows,),
        compiler_params=triton.CompilerParams(num_warps=warps),
        **settings,
    )
