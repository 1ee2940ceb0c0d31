"""The last layer of a model: one number from the vector before it."""

import jax
from flax import linen as nn

from afm_jax.ops import exact


class Output(nn.Module):
    """p^T x + b.

    Parameters: `kernel` float32 [n, 1] (p) and, unless `use_bias` is False, `bias`
    float32 [1] (b, 0).

    Attributes:
        use_bias: Whether the layer adds a bias b. It is False where the first-order
            part has one.
        kernel_init: Initializer of p, Xavier normal by default.
    """

    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_normal()

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """float32 [B] of inputs float32 [B, n]."""
        kernel = self.param("kernel", self.kernel_init, (inputs.shape[-1], 1))
        logits = exact.dot(inputs, kernel)
        if self.use_bias:
            logits = logits + self.param("bias", nn.initializers.zeros, (1,))[None]
        return logits[:, 0]
