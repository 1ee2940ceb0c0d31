"""Attention pooling as a GPU kernel (Pallas, Triton): no pair product leaves the chip.

This file deals the rows out to the programs of the GPU, each of which takes a tile of
them, and joins what they compute; `pallas_kernels` is what a program does.
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.sharding import AbstractMesh, AxisType, use_abstract_mesh

from afm_jax.ops import blocked_attention, pallas_kernels
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
        functools.partial(
            pallas_kernels.forward, interpret, num_fields, scale is not None
        ),
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
        functools.partial(
            pallas_kernels.backward, interpret, num_fields, scale is not None
        ),
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


def _present(scale: jax.Array | None) -> tuple[jax.Array, ...]:
    return () if scale is None else (scale,)


def _tile(rows: int, *minor: int) -> pl.BlockSpec:
    """The rows of the program's tile of an array [B, minor...]."""
    return pl.BlockSpec((rows, *minor), lambda tile: (tile,) + (0,) * len(minor))


def _fields_tile(rows: int, array: jax.Array) -> pl.BlockSpec:
    """The rows of the program's tile of an array [F or P, B, minor...]."""
    minor = array.shape[2:]
    return pl.BlockSpec(
        (array.shape[0], rows, *minor), lambda tile: (0, tile) + (0,) * len(minor)
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
