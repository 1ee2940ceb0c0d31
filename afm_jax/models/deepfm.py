"""DeepFM (Guo et al. 2017)."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, first_order, mlp, norms, output
from afm_jax.ops import flat, interactions


class Model(nn.Module):
    """logits = FM + p^T MLP([v_1 x_1, ..., v_F x_F, d]), d the dense columns.

    FM = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j (eqs. 1 and 2); both parts
    share the vectors v_i. The pairs are pairs of fields, as in `models.fm`.

    The paper's network has three hidden layers of 400 and dropout 0.5, which is 0 here
    until it is asked for. Departure: dense columns enter the first-order part and the
    MLP, where the paper has a vector for each.

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        hidden_dims: width of each hidden layer of the MLP.
        normalization: 'batch', 'layer' or None; see `modules.norms`.
        dropout_rate: of the outputs of the hidden layers.
        first_order_inputs: 'all', 'fields' or 'dense'; see `modules.first_order`.
        init_stddev: standard deviation of the initial tables.
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
            self.hidden_dims, self.dropout_rate, self.normalization, name="mlp"
        )(inputs, train=train)
        projected = output.Output(use_bias=False, name="output")(hidden)
        return logits + interactions.fm_pair_term(vectors) + projected
