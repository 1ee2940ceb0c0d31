"""Products in full float32: of what is small, or feeds a softmax or a logit."""

import functools

import jax
import jax.numpy as jnp

# The GPU's default for float32 products, TF32, keeps 10 bits of the mantissa only.
einsum = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
"""`jnp.einsum` in float32 on every device."""

dot = functools.partial(jnp.dot, precision=jax.lax.Precision.HIGHEST)
"""`jnp.dot` in float32 on every device."""
