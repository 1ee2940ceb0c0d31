"""Logarithmic neurons: products of fields to learned powers, through logarithms."""

import jax
import jax.numpy as jnp

from afm_jax.ops import exact


def log_magnitudes(embeddings: jax.Array, *, smallest: float = 1e-4) -> jax.Array:
    """ln max(|e|, smallest), element by element.

    Args:
        embeddings: float of any shape.
        smallest: the magnitude from which on numbers count as this one, and receive no
            gradient; above 0.

    Returns:
        float of the same shape.
    """
    return jnp.log(jnp.maximum(jnp.abs(embeddings), smallest))


def power_products(
    logarithms: jax.Array, exponents: jax.Array, bias: jax.Array
) -> jax.Array:
    """Products of the fields, each to a power of its own.

    y_n = exp(b_n + sum_f w_{fn} ln e_f) = exp(b_n) prod_f e_f^{w_fn}, element by
    element: the logarithmic neurons of AFN (Cheng et al. 2020). w of 1 or 0 make
    y a cross feature of the fields with 1; other powers are learned likewise.

    Args:
        logarithms: float [batch..., F, k], ln e.
        exponents: float [F, N], w.
        bias: float [N], b.

    Returns:
        float [batch..., N, k], positive.

    Raises:
        ValueError: shapes that do not match.
    """
    num_fields, num_neurons = exponents.shape
    if logarithms.shape[-2] != num_fields or bias.shape != (num_neurons,):
        raise ValueError(
            f"expected logarithms [..., F, k], exponents [F, N], bias [N], found {logarithms.shape}, {exponents.shape}, {bias.shape}"
        )
    # Exact: the exponential turns an error of the sum into one of every product.
    sums = exact.einsum("...fk,fn->...nk", logarithms, exponents)
    return jnp.exp(sums + jnp.broadcast_to(bias[:, None], sums.shape))
