"""Tangents of a function whose backward pass is written by hand.

`jax.custom_vjp` takes such a backward pass and then refuses forward mode. Under
`jax.custom_jvp` there is forward mode, and a backward pass that jax makes itself, of the
tangents. Here the tangents are one operation, and its transpose is the written one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Tangents = tuple[Any, ...]


def linear_map(
    function: Callable[[Any, Tangents], jax.Array],
    transpose: Callable[[Any, jax.Array], Tangents],
    constants: Any,
    tangents: Tangents,
) -> jax.Array:
    """function(constants, tangents), for the rule of a `jax.custom_jvp`.

    Args:
        function: linear in the tangents, which jax can differentiate.
        transpose: (constants, cotangent of the result) -> cotangents of the tangents.
            jax can differentiate it, where second derivatives are wanted.
        constants: a tree of arrays.
        tangents: a tree of arrays.
    """
    fixed, constants_tree = jax.tree.flatten(constants)
    moving, tangents_tree = jax.tree.flatten(tangents)
    count = len(fixed)

    def of_arrays(*arrays):
        return function(
            jax.tree.unflatten(constants_tree, arrays[:count]),
            jax.tree.unflatten(tangents_tree, arrays[count:]),
        )

    def back(arrays, cotangent):
        constants = jax.tree.unflatten(constants_tree, arrays)
        return jax.tree.leaves(transpose(constants, cotangent))

    return _linear_map.bind(
        *fixed, *moving, function=of_arrays, transpose=back, count=count
    )


_linear_map = Primitive("linear_map")


@_linear_map.def_impl
def _evaluate(*arrays, function, transpose, count):
    return jnp.asarray(function(*arrays))


@_linear_map.def_abstract_eval
def _shape(*shapes, function, transpose, count):
    return jax.make_jaxpr(function)(*shapes).out_avals[0]


def _differentiate(arrays, tangents, *, function, transpose, count):
    return jax.jvp(function, arrays, tuple(map(ad.instantiate_zeros, tangents)))


def _transpose(cotangent, *arrays, function, transpose, count):
    return [None] * count + list(transpose(arrays[:count], cotangent))


def _batch(arrays, axes, *, function, transpose, count):
    """A batch of maps, whose tangents are all of a batch."""
    mapped = [axis if isinstance(axis, int) else None for axis in axes]
    (size,) = {
        array.shape[axis]
        for array, axis in zip(arrays, mapped, strict=True)
        if axis is not None
    }
    tangents = [
        jnp.broadcast_to(array, (size, *array.shape))
        if axis is None
        else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays[count:], mapped[count:], strict=True)
    ]
    fixed = tuple(mapped[:count])
    batched = _linear_map.bind(
        *arrays[:count],
        *tangents,
        function=jax.vmap(function, (*fixed, *[0] * len(tangents))),
        transpose=jax.vmap(transpose, (fixed, 0)),
        count=count,
    )
    return batched, 0


ad.primitive_jvps[_linear_map] = _differentiate
ad.primitive_transposes[_linear_map] = _transpose
batching.primitive_batchers[_linear_map] = _batch
mlir.register_lowering(_linear_map, mlir.lower_fun(_evaluate, multiple_results=False))
