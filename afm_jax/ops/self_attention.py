"""Multi-head self-attention over the fields of a row."""

import jax
from jaxtyping import Float

from afm_jax.features import Array
from afm_jax.ops import exact


def self_attention_weights(
    embeddings: Float[Array, "*batch F d"],
    query: Float[Array, "d H t"],
    key: Float[Array, "d H t"],
) -> Float[jax.Array, "*batch H F F"]:
    """How much each field attends to every field, itself included, in each head.

    alpha^h_{mn} = softmax_n(<W_Q^h e_m, W_K^h e_n>), the interacting layer of AutoInt
    (Song et al. 2019, eq. 5). The scores are not divided by sqrt(t).

    Args:
        embeddings: float [batch..., F, d].
        query: float [d, H, t], W_Q of H heads.
        key: float [d, H, t], W_K.

    Returns:
        float [batch..., H, F, F], positive and of sum 1 over the last axis.

    Raises:
        ValueError: shapes that do not match.
    """
    if query.shape != key.shape or query.shape[0] != embeddings.shape[-1]:
        raise ValueError(
            f"expected query and key [{embeddings.shape[-1]}, H, t], found {query.shape} and {key.shape}"
        )
    queries, keys = (
        exact.einsum("...md,dht->...hmt", embeddings, kernel) for kernel in (query, key)
    )
    scores = exact.einsum("...hmt,...hnt->...hmn", queries, keys)
    return jax.nn.softmax(scores, axis=-1)


def interacting_features(
    weights: Float[Array, "*batch H F F"],
    embeddings: Float[Array, "*batch F d"],
    value: Float[Array, "d H t"],
    residual: Float[Array, "d H*t"],
) -> Float[jax.Array, "*batch F H*t"]:
    """The fields that each field attends to, with the field itself added.

    relu(concat_h(sum_n alpha^h_{mn} W_V^h e_n) + W_Res e_m), the output of AutoInt's
    interacting layer (Song et al. 2019, eq. 6 to 8).

    Args:
        weights: float [batch..., H, F, F], alpha as in `self_attention_weights`.
        embeddings: float [batch..., F, d].
        value: float [d, H, t], W_V.
        residual: float [d, H t], W_Res.

    Returns:
        float [batch..., F, H t].

    Raises:
        ValueError: shapes that do not match.
    """
    d, num_heads, t = value.shape
    if residual.shape != (d, num_heads * t) or weights.shape[-3] != num_heads:
        raise ValueError(
            f"expected weights [..., H, F, F], value [d, H, t], residual [d, H t], found {weights.shape}, {value.shape}, {residual.shape}"
        )
    values = exact.einsum("...nd,dht->...hnt", embeddings, value)
    heads = exact.einsum("...hmn,...hnt->...mht", weights, values)
    own = exact.einsum("...md,de->...me", embeddings, residual)
    return jax.nn.relu(heads.reshape(own.shape) + own)
