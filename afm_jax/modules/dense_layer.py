"""A dense layer."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.ops import matmul


class Dense(nn.Module):
    """x W + b, the product being `ops.matmul`'s.

    Parameters: `kernel` float32 [n, features] (W, Xavier normal) and, unless `use_bias`
    is False, `bias` float32 [features] (b, 0).

    Attributes:
        features: Width of the output.
        use_bias: Whether the layer adds a bias b.
    """

    features: int
    use_bias: bool = True

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """float32 [..., features] of inputs float32 [..., n]."""
        shape = inputs.shape[-1], self.features
        kernel = self.param("kernel", nn.initializers.xavier_normal(), shape)
        outputs = matmul.matmul(inputs, kernel)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            outputs += jnp.broadcast_to(bias, outputs.shape)
        return outputs
