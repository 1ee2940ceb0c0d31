"""Bilinear fusion: two vectors become one number."""

import jax

from afm_jax.ops import exact


def bilinear_fusion(
    first: jax.Array, second: jax.Array, kernel: jax.Array
) -> jax.Array:
    """Sum over heads of a bilinear form of the heads' parts of two vectors.

    sum_j o_1j^T W_j o_2j, the second-order part of FinalMLP's multi-head bilinear
    fusion (Mao et al. 2023). One head sees all pairs of entries; n heads see a part
    of 1 / n of them.

    Args:
        first: float [batch..., p], o_1, of n parts of equal size.
        second: float [batch..., q], o_2, of n parts of equal size.
        kernel: float [n, p / n, q / n], W_j.

    Returns:
        float [batch...].

    Raises:
        ValueError: a kernel that does not match.
    """
    heads, p, q = kernel.shape
    if (heads * p, heads * q) != (first.shape[-1], second.shape[-1]):
        raise ValueError(
            f"a kernel of shape {kernel.shape} fuses vectors of {heads * p} and {heads * q}, found {first.shape[-1]} and {second.shape[-1]}"
        )
    return exact.einsum(
        "...np,npq,...nq->...",
        first.reshape(*first.shape[:-1], heads, p),
        kernel,
        second.reshape(*second.shape[:-1], heads, q),
    )
