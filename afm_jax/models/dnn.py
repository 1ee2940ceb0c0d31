"""Deep network over the embeddings alone (Covington et al. 2016)."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import flat


class Model(nn.Module):
    """logits = p^T MLP([v_1 x_1, ..., v_F x_F, d]) + b, d the dense columns.

    The feed-forward network over concatenated embeddings, the deep part of other models
    alone, with the hidden layers of DeepFM (Guo et al. 2017), so that the two compare.

    Extra parameters: M(n).

    Cost of a row: M(n).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        inputs = flat.flat_inputs(vectors, features.dense)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
