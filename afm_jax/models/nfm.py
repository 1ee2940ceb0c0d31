"""Neural factorization machine (He and Chua 2017)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import dense_tower, embedding, mlp, norms
from afm_jax.ops import interactions


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + p^T MLP([sum_{i<j} (v_i * v_j) x_i x_j, d]) (eq. 2).

    d are the dense columns. With no hidden layer, no d and p all ones this is FM. The
    pairs are pairs of fields, as in `models.fm`.

    As in the paper, normalization and dropout apply to the pooled vector as well as to
    the hidden layers if asked for (the authors' code has batch normalization unless
    told not to), and one hidden layer is the default, of 64 units as in that code; from
    there the start of the vectors, N(0, 0.01), too: the pooled vector is of second
    order in them. Departures: the paper has no dense columns; first-order weights start
    as the vectors do, where the code's are 0.

    Extra parameters: M(k + D).

    Cost of a row: F k + M(k + D).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of the pooled vector and of each hidden layer:
            'batch' over the rows, 'layer' over the units, or None.
        pooling_dropout_rate: Chance that a dimension of the pooled vector is set to 0
            in training.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        dropout_after: Where that dropout is: 'every_layer' of the MLP, or the
            'last_layer' alone.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both); or 'dense_tower', see `modules.dense_tower`.
        dense_in_deep: Whether the MLP sees the dense columns.
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    hidden_dims: tuple[int, ...] = (64,)
    normalization: norms.Normalization = None
    pooling_dropout_rate: float = 0.0
    dropout_rate: float = 0.0
    dropout_after: mlp.DropoutAfter = "every_layer"
    first_order_inputs: dense_tower.Inputs = "all"
    dense_in_deep: bool = True
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        pooled = norms.normalize(
            interactions.bi_interaction(vectors),
            self.normalization,
            train=train,
            name="pooling_norm",
        )
        pooled = nn.Dropout(
            rate=self.pooling_dropout_rate,
            deterministic=not train,
            name="pooling_dropout",
        )(pooled)
        if self.dense_in_deep:
            pooled = jnp.concatenate([pooled, features.dense], axis=1)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            dropout_after=self.dropout_after,
            name="mlp",
        )(pooled, train=train)
        return dense_tower.logits_of(self, features, hidden)
