"""Attentional factorization machine (Xiao et al. 2017)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import attention, dense_tower, embedding

Projection = Literal["signs", "ones", "xavier"]


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + p^T sum_{i<j} a_ij (v_i * v_j) x_i x_j (eq. 6).

    a_ij is the softmax over the pairs of h^T relu(W (v_i * v_j) x_i x_j + b). The pairs
    are pairs of fields: a multi-valued field has one vector, the mean over its slots.
    Dense columns enter the first-order part alone, or the tower that may stand in its
    place (`first_order_inputs='dense_tower'`).

    Departures from the paper: its dropout on the pair products is two dropouts here, on
    the attention weights and on the pooled vector, as in its authors' code. From that
    code: the softmax runs over the pairs, where the code's runs over an axis of size 1
    since February 2018, so that all weights are 1; W and h start Xavier normal and b at
    0, where the code's are normal; first-order weights start as the tables do, where
    the code's are 0.

    The mean over P = F (F - 1) / 2 products of small numbers makes the pair term, and
    what the tables learn from it, P times smaller than FM's. The authors start from the
    tables of a trained FM; `pooling='sum'` takes the factor P back instead.

    The code starts p at ones: at uniform attention the pair term is then FM's, a sum of
    inner products, and stays one, since p hardly crosses 0. By default p starts with
    both signs here, so that half of the dimensions attract like vectors and half repel
    them. On Frappe, with k = 10, AFM passes FM only then.

    Extra parameters: k t + t, t = attention_dim.

    Cost of a row: P k t.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        attention_dim: Width of the hidden layer of the attention network, t in the
            paper.
        attention_weights: How the pairs are weighted: 'learned'; 'frozen', by a network
            that stays as it was drawn; or 'uniform', all alike.
        pooling: 'mean' for the mean of the products by their weights, or 'sum' for that
            mean times the number of pairs.
        attention_dropout_rate: Chance that the weight of a pair is set to 0 in
            training.
        pooling_dropout_rate: Chance that a dimension of the pooled vector is set to 0
            in training.
        projection: How p starts: 'signs' for 1, -1, 1, ...; 'ones', which goes with the
            tables of a trained FM; 'xavier' for Xavier normal, as in FuxiCTR.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both); or 'dense_tower', see `modules.dense_tower`.
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    attention_dim: int = 16
    attention_weights: attention.Weights = "learned"
    pooling: attention.Pooling = "mean"
    attention_dropout_rate: float = 0.0
    pooling_dropout_rate: float = 0.0
    projection: Projection = "signs"
    first_order_inputs: dense_tower.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: fewer than two fields, or an unknown option.
        """
        check_one_of("projection", self.projection, typing.get_args(Projection))
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
        return dense_tower.logits_of(
            self, features, pooled, kernel_init=_STARTS[self.projection]
        )


def _signs(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """1, -1, 1, ..., of any key."""
    return (1.0 - 2.0 * (jnp.arange(shape[0]) % 2)).reshape(shape)


_STARTS: dict[Projection, nn.initializers.Initializer] = {
    "signs": _signs,
    "ones": nn.initializers.ones,
    "xavier": nn.initializers.xavier_normal(),
}
