"""Products of field vectors as inputs of a deep part."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact, interactions


def inner_products(
    embeddings: Float[Array, "*batch F k"],
) -> Float[jax.Array, "*batch F*(F-1)//2"]:
    """The inner product of every pair of fields.

    p_ij = <f_i, f_j> for i < j, the product layer of IPNN (Qu et al. 2016).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch..., F (F - 1) / 2], in the order of `interactions.pair_indices`.

    Raises:
        InputError: fewer than two fields, so that there is no pair.
    """
    first, second = interactions.pair_indices(embeddings.shape[-2])
    gram = exact.einsum("...ik,...jk->...ij", embeddings, embeddings)
    return gram[..., first, second]


def outer_product_of_sum(
    embeddings: Float[Array, "*batch F k"],
) -> Float[jax.Array, "*batch k*(k+1)//2"]:
    """The outer product of the sum of the field vectors with itself.

    p = sum_i sum_j f_i f_j^T = f_s f_s^T with f_s = sum_i f_i, the product layer of
    OPNN with superposition (Qu et al. 2016). Symmetric, so that the
    entries on and above the diagonal are all there is.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.

    Returns:
        float [batch..., k (k + 1) / 2]: entries (0, 0), (0, 1), ..., (1, 1), ...
    """
    total = jnp.sum(embeddings, axis=-2)
    first, second = np.triu_indices(embeddings.shape[-1])
    return total[..., first] * total[..., second]
