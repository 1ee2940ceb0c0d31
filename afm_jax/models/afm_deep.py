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

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        attention_dim: t, the width of the attention network.
        hidden_dims: width of each hidden layer of the MLP.
        attention_weights: 'learned', 'frozen' or 'uniform'; see `modules.attention`.
        pooling: 'sum' or 'mean'; see `modules.attention`.
        normalization: 'batch', 'layer' or None; see `modules.norms`.
        attention_dropout_rate: of the weight a_ij of each pair.
        pooling_dropout_rate: of each dimension of the pooled vector.
        dropout_rate: of the outputs of the hidden layers.
        dropout_after: whether that dropout follows 'every_layer' of the MLP or the
            'last_layer' alone.
        first_order_inputs: 'all', 'fields' or 'dense', see `modules.first_order`; or
            'dense_tower', see `modules.dense_tower`.
        dense_in_deep: whether the MLP sees the dense columns.
        init_stddev: standard deviation of the initial tables.
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
            self.attention_dim,
            self.attention_dropout_rate,
            self.attention_weights,
            self.pooling,
            name="attention",
        )(vectors, train=train)
        pooled = nn.Dropout(
            self.pooling_dropout_rate, deterministic=not train, name="pooling_dropout"
        )(pooled)
        if self.dense_in_deep:
            pooled = jnp.concatenate([pooled, features.dense], axis=1)
        hidden = mlp.MLP(
            self.hidden_dims,
            self.dropout_rate,
            self.normalization,
            self.dropout_after,
            name="mlp",
        )(pooled, train=train)
        return dense_tower.logits_of(self, features, hidden)
