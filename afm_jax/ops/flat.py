"""The input of a deep part: everything that is known of a row, in one vector."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from afm_jax.features import Array


def flat_inputs(
    vectors: Float[Array, "B F k"], dense: Float[Array, "B D"]
) -> Float[jax.Array, "B F*k+D"]:
    """x = [v_1, ..., v_F, d]: the vectors of the fields, then the dense columns.

    Args:
        vectors: float [B, F, k], feature values multiplied in.
        dense: float [B, D].

    Returns:
        float [B, F k + D].
    """
    return jnp.concatenate([vectors.reshape(vectors.shape[0], -1), dense], axis=1)
