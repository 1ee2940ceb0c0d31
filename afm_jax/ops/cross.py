"""Cross layers: explicit feature crosses of a degree that grows by one with each layer."""

import jax
import jax.numpy as jnp

# The GPU's default for float32 products, TF32, keeps 10 bits of the mantissa only.
_PRECISION = jax.lax.Precision.HIGHEST


def vector_cross(
    x0: jax.Array, x: jax.Array, weight: jax.Array, bias: jax.Array
) -> jax.Array:
    """One cross layer of DCN: x0 (x^T w) + b + x (Wang et al. 2017, eq. 3).

    Args:
        x0: float [B, d], the input of the first layer.
        x: float [B, d], the output of the layer before.
        weight: float [d], w.
        bias: float [d], b.

    Returns:
        float [B, d].
    """
    projected = jnp.dot(x, weight, precision=_PRECISION)
    return x0 * projected[:, None] + bias[None, :] + x
