"""Second-order terms in which the two fields of a pair matter."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact, interactions


def weighted_pair_term(
    embeddings: Float[Array, "*batch F k"], weights: Float[Array, " F*(F-1)//2"]
) -> Float[jax.Array, "*batch"]:
    """Sum of the inner products of all pairs of fields, each with its pair's weight.

    sum_{i<j} r_ij <v_i, v_j> x_i x_j, the second-order term of field-weighted
    factorization machines (Pan et al. 2018). All weights 1 give
    `interactions.fm_pair_term`.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        weights: float [F (F - 1) / 2], r_ij in the order of `interactions.pair_indices`.

    Returns:
        float [batch...].

    Raises:
        InputError: fewer than two fields, so that there is no pair.
        ValueError: not one weight per pair.
    """
    num_fields = embeddings.shape[-2]
    first, second = interactions.pair_indices(num_fields)
    if weights.shape != first.shape:
        raise ValueError(
            f"expected weights {first.shape} for {num_fields} fields, found {weights.shape}"
        )
    # One product with an upper triangular matrix: no tensor of pairs per row.
    upper = jnp.zeros((num_fields, num_fields), weights.dtype)
    upper = upper.at[first, second].set(weights)
    others = exact.einsum("ij,...jk->...ik", upper, embeddings)
    return (others * embeddings).sum(axis=(-2, -1))


def field_aware_pair_term(
    embeddings: Float[Array, "*batch F F k"],
) -> Float[jax.Array, "*batch"]:
    """Sum of the inner products of the vectors that two fields have for one another.

    sum_{i<j} <v_{i,j}, v_{j,i}> x_i x_j, the second-order term of field-aware
    factorization machines (Juan et al. 2016). The vectors v_{i,i} are not used.
    If v_{i,j} is the same for all j, this is `interactions.fm_pair_term`.

    Args:
        embeddings: float [batch..., F, F, k], feature values multiplied in: at [i, j]
            the vector of field i for its products with field j.

    Returns:
        float [batch...].

    Raises:
        ValueError: not as many vectors per field as fields.
    """
    if embeddings.shape[-3] != embeddings.shape[-2]:
        raise ValueError(
            f"expected embeddings [..., F, F, k], found {embeddings.shape}"
        )
    opposite = jnp.swapaxes(embeddings, -3, -2)
    products = (embeddings * opposite).sum(axis=-1)
    return jnp.triu(products, k=1).sum(axis=(-2, -1))
