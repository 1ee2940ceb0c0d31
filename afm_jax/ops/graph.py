"""The complete graph of the fields of a row: weights of its edges, sums over neighbours."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax import errors
from afm_jax.features import Array
from afm_jax.ops import exact


def edge_weights(
    embeddings: Float[Array, "*batch F k"],
    receiver: Float[Array, " k"],
    sender: Float[Array, " k"],
) -> Float[jax.Array, "*batch F F"]:
    """How much each field receives from every other.

    alpha_ij = softmax_{j != i}(leaky_relu(<w_r, e_i> + <w_s, e_j>)), alpha_ii = 0, the
    attentional edge weights of Fi-GNN (Li et al. 2019); the slope of the leaky relu is
    0.01.

    Args:
        embeddings: float [batch..., F, k].
        receiver: float [k], w_r, the first half of the paper's W_w.
        sender: float [k], w_s, its second half.

    Returns:
        float [batch..., F, F], of sum 1 over the last axis and 0 on the diagonal.

    Raises:
        InputError: fewer than two fields, so that there is no edge.
        ValueError: shapes that do not match.
    """
    num_fields, k = embeddings.shape[-2:]
    if num_fields < 2:
        raise errors.InputError(
            f"A graph of fields needs 2 fields or more, found {num_fields}; choose a model without one."
        )
    if receiver.shape != (k,) or sender.shape != (k,):
        raise ValueError(
            f"expected receiver and sender [{k}], found {receiver.shape} and {sender.shape}"
        )
    received, sent = (
        exact.einsum("...fk,k->...f", embeddings, kernel)
        for kernel in (receiver, sender)
    )
    scores = jax.nn.leaky_relu(received[..., :, None] + sent[..., None, :])
    neighbours = ~jnp.eye(num_fields, dtype=bool)
    return jax.nn.softmax(
        scores, axis=-1, where=jnp.broadcast_to(neighbours, scores.shape)
    )


def neighbour_sums(
    weights: Float[Array, "*batch F F"],
    states: Float[Array, "*batch F k"],
    outgoing: Float[Array, "F k k"],
    incoming: Float[Array, "F k k"],
) -> Float[jax.Array, "*batch F k"]:
    """What each field receives from the others.

    a_i = W_in^i sum_j alpha_ij W_out^j h_j, the aggregation of Fi-GNN (Li et al. 2019)
    without its bias: F matrices out and F in, instead of F (F - 1) for the edges.

    Args:
        weights: float [batch..., F, F], alpha as in `edge_weights`.
        states: float [batch..., F, k], h.
        outgoing: float [F, k, k], the transposed W_out.
        incoming: float [F, k, k], the transposed W_in.

    Returns:
        float [batch..., F, k].

    Raises:
        ValueError: shapes that do not match.
    """
    num_fields, k = states.shape[-2:]
    expected = (num_fields, k, k)
    if outgoing.shape != expected or incoming.shape != expected:
        raise ValueError(
            f"expected outgoing and incoming {expected}, found {outgoing.shape} and {incoming.shape}"
        )
    sent = exact.einsum("...fk,fkl->...fl", states, outgoing)
    sums = exact.einsum("...ij,...jl->...il", weights, sent)
    return exact.einsum("...fk,fkl->...fl", sums, incoming)
