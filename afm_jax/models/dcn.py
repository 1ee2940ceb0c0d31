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
        num_layers: L.
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

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        num_cross_layers: L, the paper's 6 by default.
        hidden_dims: width of each hidden layer of the MLP.
        normalization: 'batch', 'layer' or None; see `modules.norms`.
        dropout_rate: of the outputs of the hidden layers.
        init_stddev: standard deviation of the initial table.
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
        crossed = CrossNetwork(self.num_cross_layers, name="cross")(x0)
        hidden = mlp.MLP(
            self.hidden_dims, self.dropout_rate, self.normalization, name="mlp"
        )(x0, train=train)
        return output.Output(name="output")(jnp.concatenate([crossed, hidden], axis=1))
