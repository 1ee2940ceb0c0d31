"""Deep & Cross network (Wang et al. 2017)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import cross, flat


class CrossNetwork(nn.Module):
    """The cross layers with their parameters.

    Parameters: `kernel` float32 [L, d], each row Xavier normal for d inputs and one
    output, and `bias` float32 [L, d], 0.

    Attributes:
        num_layers: Number of cross layers, L in the formula.
    """

    num_layers: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """float32 [B, d] of inputs float32 [B, d]; see `ops.cross.vector_crosses`."""
        shape = (self.num_layers, inputs.shape[-1])
        stddev = (2.0 / (shape[1] + 1)) ** 0.5
        kernel = self.param("kernel", nn.initializers.normal(stddev), shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        return cross.vector_crosses(inputs, kernel, bias)


class Model(nn.Module):
    """logits = p^T [x_L, MLP(x_0)] + b, x_{l+1} = x_0 (x_l^T w_l) + b_l + x_l (eq. 3).

    x_0 = [v_1 x_1, ..., v_F x_F, d], d the dense columns, L the number of cross layers.

    Departures from the paper: the hidden layers are those of DeepFM, where the paper's
    best network for Criteo has two of 1024, to run fast on a CPU; they are normalized
    only if asked for, where the paper's are by batch; and all fields have vectors of
    one size, where the paper's grows with the vocabulary of a field.

    Extra parameters: L n + M(n).

    Cost of a row: L n + M(n).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        num_cross_layers: Number of cross layers, L in the formula. The paper has 6 for
            Criteo.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    num_cross_layers: int = 6
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        x0 = flat.flat_inputs(vectors, features.dense)
        crossed = CrossNetwork(num_layers=self.num_cross_layers, name="cross")(x0)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(x0, train=train)
        return output.Output(name="output")(jnp.concatenate([crossed, hidden], axis=1))
