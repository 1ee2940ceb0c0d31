"""One vector per dense column, for models in which numbers are fields too."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Array


class DenseEmbedding(nn.Module):
    """Makes each dense column a field with the vector d_j u_j.

    Parameters: `kernel` float32 [D, embedding_dim], the u_j, N(0, init_stddev) as the
    rows of the tables; none if D is 0.

    Attributes:
        embedding_dim: Width of each vector u_j, k in the models.
        init_stddev: Standard deviation of the kernel's initial normal distribution.
    """

    embedding_dim: int
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, dense: Array) -> jax.Array:
        """The vector of each column, float32 [B, D, k], of columns float32 [B, D]."""
        num_rows, num_dense = dense.shape
        if num_dense == 0:
            return jnp.zeros((num_rows, 0, self.embedding_dim))
        kernel = self.param(
            "kernel",
            nn.initializers.normal(self.init_stddev),
            (num_dense, self.embedding_dim),
        )
        return jnp.asarray(dense)[:, :, None] * kernel[None]
