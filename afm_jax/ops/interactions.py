"""Interactions of pairs of fields: the products themselves and sums over all pairs."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from afm_jax import errors
from afm_jax.features import Array


def pair_indices(
    num_fields: int,
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """First and second field of every pair, in the order of `pair_products`.

    Args:
        num_fields: F.

    Returns:
        Two int arrays [F (F - 1) / 2]: (0, 1), (0, 2), ..., (1, 2), ...

    Raises:
        InputError: fewer than two fields, so that there is no pair.
    """
    _check_num_fields(num_fields)
    return np.triu_indices(num_fields, k=1)


def pair_products(
    embeddings: Float[Array, "*batch F k"],
) -> Float[jax.Array, "*batch F*(F-1)//2 k"]:
    """Element-wise product of every pair of fields, each pair once.

    The pair-wise interaction layer of AFM, (v_i * v_j) x_i x_j for i < j (Xiao et al.
    2017, eq. 3).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch..., F (F - 1) / 2, k], pairs in the order of `pair_indices`.

    Raises:
        InputError: fewer than two fields, so that there is no pair.
    """
    num_fields = embeddings.shape[-2]
    _check_num_fields(num_fields)
    # Slices, because embeddings[..., first, :] of pair_indices is a gather, 4 times
    # slower on a CPU, and its gradient a scatter, whose sums vary on a GPU.
    products = [
        embeddings[..., i : i + 1, :] * embeddings[..., i + 1 :, :]
        for i in range(num_fields - 1)
    ]
    return jnp.concatenate(products, axis=-2)


def bi_interaction(
    embeddings: Float[Array, "*batch F k"],
) -> Float[jax.Array, "*batch k"]:
    """Sum of the products of all pairs of fields, in time linear in the fields.

    sum_{i<j} v_i * v_j = ((sum_i v_i)^2 - sum_i v_i^2) / 2, the bi-interaction pooling
    of NFM (He and Chua 2017, eq. 4). One field gives zeros.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch..., k].
    """
    square_of_sum = jnp.square(embeddings.sum(axis=-2))
    sum_of_squares = jnp.square(embeddings).sum(axis=-2)
    return 0.5 * (square_of_sum - sum_of_squares)


def fm_pair_term(embeddings: Float[Array, "*batch F k"]) -> Float[jax.Array, "*batch"]:
    """Sum of the inner products of all pairs of fields.

    sum_{i<j} <v_i, v_j> x_i x_j, the second-order term of factorization machines
    (Rendle 2010, eq. 1 and lemma 3.1).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch...].
    """
    return bi_interaction(embeddings).sum(axis=-1)


def _check_num_fields(num_fields: int) -> None:
    if num_fields < 2:
        raise errors.InputError(
            f"Pair interactions need 2 fields or more, found {num_fields}; choose a model without them."
        )
