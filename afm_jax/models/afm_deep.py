"""AFM with a deep part on top of its attention pooling."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import attention, dense_tower, embedding, mlp, norms


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + p^T MLP([s sum_{i<j} a_ij (v_i * v_j) x_i x_j, d]).

    a_ij as in `models.afm`, s the scale of the pooled vector, d the dense columns. With
    no hidden layer, s = 1 and no d this is AFM.

    The form first proposed, in a public reproduction note of AFM (2021), has s = 1, a
    linear tower over the dense columns in place of the first-order part, and dropout
    after the last hidden layer alone (`pooling='mean'`, `dense_in_deep=False`,
    `first_order_inputs='dense_tower'`, `dropout_after='last_layer'`). Its author found
    it no better than AFM. We depart from it: a mean over P = F (F - 1) / 2 products
    of small numbers is P times smaller than NFM's sum of the same products, and so are
    the gradients that reach the tables through the MLP. By default s = P
    (`pooling='sum'`): at uniform attention, where training starts, the MLP sees NFM's
    bi-interaction vector, and attention then moves weight between pairs without
    shrinking the whole. The tables start larger than in FM and AFM
    (`init_stddev=0.01`) for the same reason: the pooled vector is of second order in
    them.

    Extra parameters: k t + t + M(k + D), t = attention_dim.

    Cost of a row: P k t + M(k + D).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        attention_dim: Width of the hidden layer of the attention network, t in the
            paper.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        attention_weights: How the pairs are weighted: 'learned'; 'frozen', by a network
            that stays as it was drawn; or 'uniform', all alike.
        pooling: 'mean' for the mean of the products by their weights, or 'sum' for that
            mean times the number of pairs.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        attention_dropout_rate: Chance that the weight of a pair is set to 0 in
            training.
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
    attention_dim: int = 16
    hidden_dims: tuple[int, ...] = (128, 64)
    attention_weights: attention.Weights = "learned"
    pooling: attention.Pooling = "sum"
    normalization: norms.Normalization = None
    attention_dropout_rate: float = 0.0
    pooling_dropout_rate: float = 0.0
    dropout_rate: float = 0.0
    dropout_after: mlp.DropoutAfter = "every_layer"
    first_order_inputs: dense_tower.Inputs = "all"
    dense_in_deep: bool = True
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: fewer than two fields, or an unknown option.
        """
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        pooled = attention.AttentionPooling(
            attention_dim=self.attention_dim,
            dropout_rate=self.attention_dropout_rate,
            weights=self.attention_weights,
            pooling=self.pooling,
            name="attention",
        )(vectors, train=train)
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
