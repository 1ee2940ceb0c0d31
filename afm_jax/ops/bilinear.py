"""Weights of fields by squeeze and excitation, and bilinear interactions of pairs."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact, interactions


def squeeze_excitation(
    embeddings: Float[Array, "*batch F k"],
    squeeze: Float[Array, "F s"],
    excitation: Float[Array, "s F"],
) -> Float[jax.Array, "*batch F k"]:
    """The field vectors, each times a weight that depends on all of them.

    V = (a_1 e_1, ..., a_F e_F) with a = relu(W_2 relu(W_1 z)) and z_i the mean of e_i:
    the SENET layer of FiBiNET (Huang et al. 2019).

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        squeeze: float [F, s], W_1.
        excitation: float [s, F], W_2.

    Returns:
        float [batch..., F, k].

    Raises:
        ValueError: shapes that do not match.
    """
    num_fields, width = embeddings.shape[-2], squeeze.shape[-1]
    found = (squeeze.shape, excitation.shape)
    if found != ((num_fields, width), (width, num_fields)):
        raise ValueError(
            f"expected squeeze [F, s] and excitation [s, F] for {num_fields} fields, found {found}"
        )
    means = embeddings.mean(axis=-1)
    hidden = jax.nn.relu(exact.dot(means, squeeze))
    weights = jax.nn.relu(exact.dot(hidden, excitation))
    return weights[..., None] * embeddings


def bilinear_interaction(
    embeddings: Float[Array, "*batch F k"],
    kernel: Float[Array, "k k"] | Float[Array, "kernels k k"],
) -> Float[jax.Array, "*batch F*(F-1)//2 k"]:
    """Product of every pair of fields, the first of the two through a matrix.

    p_ij = (v_i W) * v_j for i < j, the bilinear-interaction layer of FiBiNET (Huang et
    al. 2019). The shape of the kernel tells its type: one W for all pairs,
    one W_i for each first field, or one W_ij for each pair. W = I gives
    `interactions.pair_products`.

    Args:
        embeddings: float [batch..., F, k], feature values multiplied in.
        kernel: float [k, k], [F - 1, k, k], or [F (F - 1) / 2, k, k] in the order of
            `interactions.pair_indices`.

    Returns:
        float [batch..., F (F - 1) / 2, k], in the order of `interactions.pair_indices`.

    Raises:
        InputError: fewer than two fields, so that there is no pair.
        ValueError: a kernel of another shape.
    """
    num_fields, k = embeddings.shape[-2:]
    num_pairs = len(interactions.pair_indices(num_fields)[0])
    each, pairs = (num_fields - 1, k, k), (num_pairs, k, k)
    if kernel.shape not in ((k, k), each, pairs):
        raise ValueError(
            f"expected a kernel {(k, k)}, {each} or {pairs} for embeddings {embeddings.shape}, found {kernel.shape}"
        )
    products = []
    start = 0
    for i in range(num_fields - 1):
        others = embeddings[..., i + 1 :, :]
        stop = start + num_fields - 1 - i
        if kernel.ndim == 2:
            kernels = kernel[None]
        elif kernel.shape == each:
            kernels = kernel[i : i + 1]
        else:
            kernels = kernel[start:stop]
        # One matrix product for all pairs of field i; v_i is not repeated.
        left = exact.einsum("...k,jkl->...jl", embeddings[..., i, :], kernels)
        products.append(left * others)
        start = stop
    return jnp.concatenate(products, axis=-2)
