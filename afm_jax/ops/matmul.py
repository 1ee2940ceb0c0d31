"""The matrix products that bear rounding: those of dense layers."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array


def matmul(
    inputs: Float[Array, "*batch n"], kernel: Float[Array, "n m"]
) -> Float[jax.Array, "*batch m"]:
    """inputs @ kernel, as exact as `jax_default_matmul_precision` says.

    On a GPU the default is TF32. XLA heeds 'bfloat16' on TPUs alone; here it means the
    same everywhere: operands, in the gradient too, are rounded to bfloat16, and sums
    are float32.

    Args:
        inputs: float32 [..., n].
        kernel: float32 [n, m].

    Returns:
        float32 [..., m].
    """
    # jax 0.10 does not tell type checkers of this option.
    precision: str | None = getattr(jax.config, "jax_default_matmul_precision")  # noqa: B009
    if precision != "bfloat16":
        return jnp.dot(inputs, kernel)
    # XLA's CPU backend has no products of bfloat16 with further axes.
    flat = _bfloat16(inputs.reshape(-1, inputs.shape[-1]), kernel)
    return flat.reshape(*inputs.shape[:-1], kernel.shape[-1])


@jax.custom_vjp
def _bfloat16(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    return jnp.dot(
        inputs.astype(jnp.bfloat16),
        kernel.astype(jnp.bfloat16),
        preferred_element_type=jnp.float32,
    )


def _forward(inputs, kernel):
    return _bfloat16(inputs, kernel), (inputs, kernel)


def _backward(residuals, gradient):
    inputs, kernel = residuals
    return _bfloat16(gradient, kernel.T), _bfloat16(inputs.T, gradient)


_bfloat16.defvjp(_forward, _backward)
