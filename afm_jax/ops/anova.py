"""The ANOVA kernel: interactions of any order among the fields."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array


def anova_kernel(
    embeddings: Float[Array, "*batch F k"], order: int
) -> Float[jax.Array, "*batch k"]:
    """Sum of the element-wise products of all sets of `order` fields.

    A^m = sum_{i_1 < ... < i_m} v_{i_1} * ... * v_{i_m}, the kernel of higher-order
    factorization machines (Blondel et al. 2016). Computed from the power
    sums D_t = sum_i v_i^t by Newton's identities,

        A^m = (D_1 A^{m-1} - D_2 A^{m-2} + ... +- D_m) / m,  A^0 = 1,

    so in time linear in the fields. Order 1 is the sum, order 2
    `interactions.bi_interaction`; fewer fields than `order` give zeros up to rounding.
    As there, large terms cancel: the error is some 1e-7 D_1^m, so that digits are lost
    where one field is far larger than all others.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        order: m, 1 or more.

    Returns:
        float [batch..., k].

    Raises:
        ValueError: an order below 1.
    """
    if order < 1:
        raise ValueError(f"expected an order of 1 or more, found {order}")
    power_sums = [(embeddings**t).sum(axis=-2) for t in range(1, order + 1)]
    kernels = [jnp.ones_like(power_sums[0])]
    for m in range(1, order + 1):
        terms = [
            (-1) ** (t - 1) * power_sums[t - 1] * kernels[m - t]
            for t in range(1, m + 1)
        ]
        kernels.append(sum(terms[1:], start=terms[0]) / m)
    return kernels[order]
