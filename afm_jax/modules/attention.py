"""Attention pooling with its parameters."""

import typing
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.ops import attention

Weights = Literal["learned", "frozen", "uniform"]
Pooling = Literal["mean", "sum"]


class AttentionPooling(nn.Module):
    """Pools the pair products of the fields into one vector by learned attention.

    Parameters: `kernel` float32 [k, attention_dim] (the paper's W, Xavier normal),
    `bias` float32 [attention_dim] (b, 0), `query` float32 [attention_dim] (h, Xavier
    normal for a layer with one output). Some code gives h a bias, too; it would add the
    same number to all scores, which the softmax over them does not see. With zero or tiny embeddings all scores are
    equal, so that training starts at uniform attention. Where they are frozen they are
    variables of the collection 'frozen' and no parameters, so that no penalty moves them;
    where weights are uniform there are none.

    Under `apply(..., mutable=['intermediates'])` the weights before dropout are sown
    as `weights`, float32 [B, F (F - 1) / 2].

    Attributes:
        attention_dim: Width of the hidden layer of the attention network, t in the
            paper.
        dropout_rate: Chance that the weight of a pair is set to 0 in training.
        weights: How the pairs are weighted: 'learned'; or, to see what learning brings,
            'frozen', by a network that stays as it was drawn, or 'uniform', all 1 / P.
        pooling: 'mean' is the plain attention pooling. 'sum' is that times the number
            of pairs: at uniform attention, NFM's sum over the pairs.
    """

    attention_dim: int
    dropout_rate: float = 0.0
    weights: Weights = "learned"
    pooling: Pooling = "mean"

    @nn.compact
    def __call__(self, embeddings: jax.Array, *, train: bool = False) -> jax.Array:
        """The pooled vector, float32 [B, k], of embeddings float32 [B, F, k].

        Raises:
            InputError: fewer than two fields, so that there is no pair, or an unknown
                option.
        """
        check_one_of("attention_weights", self.weights, typing.get_args(Weights))
        check_one_of("pooling", self.pooling, typing.get_args(Pooling))
        kernel, bias, query = self._network(embeddings.shape[-1])
        if self.is_mutable_collection("intermediates"):
            weights = attention.attention_weights(embeddings, kernel, bias, query)
            self.sow("intermediates", "weights", weights)
        rate = self.dropout_rate if train else 0.0
        key = self.make_rng("dropout") if rate > 0 else None
        pooled = attention.attention_pooling(
            embeddings, kernel, bias, query, dropout_rate=rate, key=key
        )
        return self.scale(embeddings.shape[-2]) * pooled

    def _network(self, k: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        if self.weights == "uniform":  # Scores of 0, by the smallest network.
            return jnp.zeros((k, 1)), jnp.zeros(1), jnp.zeros(1)
        xavier, t = nn.initializers.xavier_normal(), self.attention_dim
        make = self._frozen if self.weights == "frozen" else self.param
        return (
            make("kernel", xavier, (k, t)),
            make("bias", nn.initializers.zeros, (t,)),
            make("query", lambda key, size: xavier(key, (size, 1))[:, 0], t),
        )

    def _frozen(
        self, name: str, init: Callable[..., jax.Array], *args: Any
    ) -> jax.Array:
        """As `param`, of the collection 'frozen'."""
        key = self.make_rng("params") if self.is_initializing() else None
        return self.variable("frozen", name, init, key, *args).value

    def scale(self, num_fields: int) -> float:
        """The factor of the attention pooling: 1, or the number of pairs for 'sum'."""
        return 1.0 if self.pooling == "mean" else num_fields * (num_fields - 1) / 2
