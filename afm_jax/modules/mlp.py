"""A stack of dense layers: the deep part of a model."""

from typing import Literal

import jax
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.modules import dense_layer

Normalization = Literal["batch", "layer"] | None

_NORMALIZATIONS = ("batch", "layer", None)


def normalize(
    inputs: jax.Array, normalization: Normalization, *, train: bool, name: str
) -> jax.Array:
    """Inputs of mean 0 and variance 1, times a scale (1), plus a bias (0).

    Called from the module that is to own the scale and the bias. Batch normalization
    keeps its running mean and variance in the collection 'batch_stats', to be mutable
    if `train`: running = 0.9 running + 0.1 batch. Epsilon is 1e-5.

    Args:
        inputs: float32 [B, d].
        normalization: 'batch' over the rows, 'layer' over d, or None for the inputs.
        train: whether batch normalization uses the statistics of this batch.
        name: of the submodule.

    Returns:
        float32 [B, d].

    Raises:
        InputError: an unknown normalization.
    """
    check_one_of("normalization", normalization, _NORMALIZATIONS)
    if normalization == "batch":
        return nn.BatchNorm(
            use_running_average=not train, momentum=0.9, epsilon=1e-5, name=name
        )(inputs)
    if normalization == "layer":
        return nn.LayerNorm(epsilon=1e-5, name=name)(inputs)
    return inputs


class MLP(nn.Module):
    """Dense, normalization, relu and dropout, once for each hidden layer.

    Parameters of layer i: `hidden_{i}` (see `modules.dense_layer`) and, with
    normalization, `norm_{i}` as in `normalize`. No hidden layer is the identity.

    Attributes:
        hidden_dims: width of each hidden layer.
        dropout_rate: chance that an output of a hidden layer is set to 0 in training.
        normalization: 'batch', 'layer' or None.
    """

    hidden_dims: tuple[int, ...]
    dropout_rate: float = 0.0
    normalization: Normalization = None

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """The last hidden layer, float32 [B, hidden_dims[-1]], of inputs [B, any].

        Raises:
            InputError: an unknown normalization.
        """
        check_one_of("normalization", self.normalization, _NORMALIZATIONS)
        hidden = inputs
        for i, width in enumerate(self.hidden_dims):
            hidden = dense_layer.Dense(width, name=f"hidden_{i}")(hidden)
            hidden = normalize(
                hidden, self.normalization, train=train, name=f"norm_{i}"
            )
            hidden = nn.relu(hidden)
            hidden = nn.Dropout(
                self.dropout_rate, deterministic=not train, name=f"dropout_{i}"
            )(hidden)
        return hidden
