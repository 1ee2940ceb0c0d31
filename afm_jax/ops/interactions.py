"""Interactions of pairs of fields: the products themselves and sums over all pairs."""

import jax
import jax.numpy as jnp
import numpy as np


def pair_indices(num_fields: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second field of every pair, in the order of `pair_products`.

    Args:
        num_fields: F.

    Returns:
        Two int arrays [F (F - 1) / 2]: (0, 1), (0, 2), ..., (1, 2), ...

    Raises:
        ValueError: fewer than two fields, so that there is no pair.
    """
    if num_fields < 2:
        raise ValueError(f"{num_fields} field makes no pair; at least 2 are needed")
    return np.triu_indices(num_fields, k=1)


def pair_products(embeddings: jax.Array) -> jax.Array:
    """Element-wise product of every pair of fields, each pair once.

    The pair-wise interaction layer of AFM, (v_i * v_j) x_i x_j for i < j (Xiao et al.
    2017, eq. 3).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch..., F (F - 1) / 2, k], pairs in the order of `pair_indices`.

    Raises:
        ValueError: fewer than two fields, so that there is no pair.
    """
    first, second = pair_indices(embeddings.shape[-2])
    return embeddings[..., first, :] * embeddings[..., second, :]


def bi_interaction(embeddings: jax.Array) -> jax.Array:
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


def fm_pair_term(embeddings: jax.Array) -> jax.Array:
    """Sum of the inner products of all pairs of fields.

    sum_{i<j} <v_i, v_j> x_i x_j, the second-order term of factorization machines
    (Rendle 2010, eq. 1 and lemma 3.1).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch...].
    """
    return bi_interaction(embeddings).sum(axis=-1)
