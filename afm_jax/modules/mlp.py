"""A stack of dense layers: the deep part of a model."""

import typing
from typing import Literal

import jax
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.modules import dense_layer, norms

DropoutAfter = Literal["every_layer", "last_layer"]


class MLP(nn.Module):
    """Dense, normalization, relu and dropout, once for each hidden layer.

    Parameters of layer i: `hidden_{i}` (see `modules.dense_layer`) and, with
    normalization, `norm_{i}` as in `norms.normalize`. No hidden layer is the identity.

    Attributes:
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_after: Where that dropout is: 'every_layer' of the MLP, or the
            'last_layer' alone.
    """

    hidden_dims: tuple[int, ...]
    dropout_rate: float = 0.0
    normalization: norms.Normalization = None
    dropout_after: DropoutAfter = "every_layer"

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """The last hidden layer, float32 [B, hidden_dims[-1]], of inputs [B, any].

        Raises:
            InputError: an unknown option, or normalization 'layer' over one number.
        """
        norms.check(self.normalization)
        check_one_of("dropout_after", self.dropout_after, typing.get_args(DropoutAfter))
        last = len(self.hidden_dims) - 1
        hidden = inputs
        for i, width in enumerate(self.hidden_dims):
            hidden = dense_layer.Dense(features=width, name=f"hidden_{i}")(hidden)
            hidden = norms.normalize(
                hidden, self.normalization, train=train, name=f"norm_{i}"
            )
            hidden = nn.relu(hidden)
            if i == last or self.dropout_after == "every_layer":
                hidden = nn.Dropout(
                    rate=self.dropout_rate, deterministic=not train, name=f"dropout_{i}"
                )(hidden)
        return hidden
