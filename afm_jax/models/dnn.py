"""Plain deep network over the embeddings, the deep part of the other models alone."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import flat


class Model(nn.Module):
    """logits = p^T MLP([v_1 x_1, ..., v_F x_F, d]) + b, d the dense columns.

    The feed-forward network over concatenated embeddings, as in Covington et al. 2016;
    with the hidden layers of DeepFM (Guo et al. 2017), so that the two compare.

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        hidden_dims: width of each hidden layer of the MLP.
        normalization: 'batch', 'layer' or None; see `modules.norms`.
        dropout_rate: of the outputs of the hidden layers.
        init_stddev: standard deviation of the initial table.
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
            self.hidden_dims, self.dropout_rate, self.normalization, name="mlp"
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
