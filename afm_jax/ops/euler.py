"""Products of complex vectors to learned powers, in polar form."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact


class Complex(NamedTuple):
    """Complex vectors as two arrays, which optimizers and gradients take as they are."""

    real: jax.Array
    imaginary: jax.Array


def from_polar(
    modulus: Float[Array, "*shape"], phase: Float[Array, "*shape"]
) -> Complex:
    """modulus e^(i phase), float arrays of one shape, phase in radians."""
    return Complex(jnp.cos(phase) * modulus, jnp.sin(phase) * modulus)


def to_log_polar(
    vectors: Complex,
) -> tuple[Float[jax.Array, "*shape"], Float[jax.Array, "*shape"]]:
    """Logarithm of the modulus, and the phase in [-pi, pi], of the vectors' shape.

    1e-8 is added to the squared modulus, as in the authors' code of EulerNet, so that
    the logarithm of 0 is finite. The phase of 0 is 0, and so is its gradient there.
    """
    squares = jnp.square(vectors.real) + jnp.square(vectors.imaginary)
    # arctan2 has no gradient at 0; a `where` over its result would hand on the NaN.
    real = jnp.where(squares == 0, 1.0, vectors.real)
    imaginary = jnp.where(squares == 0, 0.0, vectors.imaginary)
    return 0.5 * jnp.log(squares + 1e-8), jnp.arctan2(imaginary, real)


def complex_products(
    log_modulus: Float[Array, "*batch F k"],
    phase: Float[Array, "*batch F k"],
    orders: Float[Array, "F N"],
    log_modulus_bias: Float[Array, "N k"],
    phase_bias: Float[Array, "N k"],
) -> Complex:
    """Products of the complex vectors, each to a power of its own.

    prod_j (lambda_j e^(i theta_j))^alpha_jn = l_n e^(i t_n), element by element, with
    l_n = exp(sum_j alpha_jn ln lambda_j + delta_n) and t_n = sum_j alpha_jn theta_j +
    delta'_n: the explicit interactions of EulerNet (Tian et al. 2023).

    Args:
        log_modulus: float [batch..., F, k], ln lambda.
        phase: float [batch..., F, k], theta in radians.
        orders: float [F, N], alpha.
        log_modulus_bias: float [N, k], delta.
        phase_bias: float [N, k], delta'.

    Returns:
        float [batch..., N, k], twice.

    Raises:
        ValueError: shapes that do not match.
    """
    num_fields, k = log_modulus.shape[-2:]
    biases = (log_modulus_bias.shape, phase_bias.shape)
    expected = (orders.shape[-1], k)
    if orders.shape[0] != num_fields or biases != (expected, expected):
        raise ValueError(
            f"expected orders [{num_fields}, N] and biases [N, {k}], found {orders.shape}, {biases}"
        )
    # Exact: the exponential and a large phase turn errors of the sums into larger ones.
    sums = [exact.einsum("...jk,jn->...nk", x, orders) for x in (log_modulus, phase)]
    log_sums, phases = (
        total + jnp.broadcast_to(bias, total.shape)
        for total, bias in zip(sums, (log_modulus_bias, phase_bias), strict=True)
    )
    return from_polar(jnp.exp(log_sums), phases)
