"""Wide & Deep (Cheng et al. 2016)."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, first_order, mlp, norms, output
from afm_jax.ops import flat


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + p^T MLP([v_1 x_1, ..., v_F x_F, d]) (eq. 3).

    d are the dense columns.

    Departures from the paper: the wide part has no cross-product features, which are
    made by hand for each task. The hidden layers are those of DeepFM, where the paper's
    are of 1024, 512 and 256, to run fast on a CPU. One optimizer trains both parts,
    where the paper has FTRL for the wide and AdaGrad for the deep part.

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
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        logits = first_order.first_order_logits(self, features)
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        inputs = flat.flat_inputs(vectors, features.dense)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(inputs, train=train)
        return logits + output.Output(use_bias=False, name="output")(hidden)
