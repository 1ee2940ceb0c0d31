"""Automatic feature interaction by self-attention (Song et al. 2019)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import dense_embedding, embedding, mlp, norms, output
from afm_jax.ops import flat, self_attention


class InteractingLayer(nn.Module):
    """One layer of multi-head self-attention over the fields.

    Parameters, Xavier normal: `query`, `key` and `value` float32 [d, num_heads,
    head_dim], `residual` float32 [d, num_heads head_dim].

    Under `apply(..., mutable=['intermediates'])` the weights before dropout are sown as
    `weights`, float32 [B, num_heads, F, F].

    Attributes:
        num_heads: Number of attention heads, H in the formula.
        head_dim: Width of each head, t in the formula.
        dropout_rate: Chance that the weight of a pair of fields in a head is set to 0
            in training.
    """

    num_heads: int
    head_dim: int
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, fields: jax.Array, *, train: bool = False) -> jax.Array:
        """The new vectors, float32 [B, F, num_heads head_dim], of fields [B, F, d]."""
        shape = (fields.shape[-1], self.num_heads, self.head_dim)
        heads = nn.initializers.xavier_normal(in_axis=0, out_axis=(1, 2))
        query, key, value = (
            self.param(name, heads, shape) for name in ("query", "key", "value")
        )
        residual = self.param(
            "residual",
            nn.initializers.xavier_normal(),
            (shape[0], self.num_heads * self.head_dim),
        )
        weights = self_attention.self_attention_weights(fields, query, key)
        self.sow("intermediates", "weights", weights)
        weights = nn.Dropout(
            rate=self.dropout_rate, deterministic=not train, name="dropout"
        )(weights)
        return self_attention.interacting_features(weights, fields, value, residual)


class Model(nn.Module):
    """logits = w^T [e^L_1, ..., e^L_M, MLP([v, d])] + b.

    e^l_m = relu(concat_h(sum_n alpha^h_{mn} W_V^h e^{l-1}_n) + W_Res e^{l-1}_m) with
    alpha as in `ops.self_attention` (eq. 5 to 8); e^0 are the vectors v of the fields
    and d_j u_j of the dense columns d, M of them in all. With `hidden_dims` this is the
    paper's AutoInt+, without it AutoInt.

    The paper's MLP sees the vectors of the dense columns, ours the columns. The public
    code of the authors also puts a relu behind W_Q, W_K, W_V and W_Res, divides the
    scores by the root of the width, normalizes each layer and drops vectors out, of
    which the paper says nothing; its tables start at N(0, 0.01).

    Extra parameters: 4 a (k + (L - 1) a) + D k + M(n), a = heads times head_dims.

    Cost of a row: 4 m a (k + (L - 1) a) + 2 L m² a + M(n), m = F + D.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        num_heads: Number of attention heads of each interacting layer.
        head_dims: Width of each head, one number for each interacting layer, the first
            layer first.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first. ()
            means AutoInt, which has no MLP.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        attention_dropout_rate: Chance that the weight of a pair of fields in a head is
            set to 0 in training.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the initial normal distribution of the table
            and of the vectors u.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    num_heads: int = 2
    head_dims: tuple[int, ...] = (32, 32, 32)
    hidden_dims: tuple[int, ...] = (400, 400)
    normalization: norms.Normalization = None
    attention_dropout_rate: float = 0.0
    dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        dense_vectors = dense_embedding.DenseEmbedding(
            embedding_dim=self.embedding_dim,
            init_stddev=self.init_stddev,
            name="dense_embedding",
        )(features.dense)
        fields = jnp.concatenate([vectors, dense_vectors], axis=1)
        for i, head_dim in enumerate(self.head_dims):
            fields = InteractingLayer(
                num_heads=self.num_heads,
                head_dim=head_dim,
                dropout_rate=self.attention_dropout_rate,
                name=f"interacting_{i}",
            )(fields, train=train)
        parts = [fields.reshape(fields.shape[0], -1)]
        if self.hidden_dims:
            parts.append(
                mlp.MLP(
                    hidden_dims=self.hidden_dims,
                    dropout_rate=self.dropout_rate,
                    normalization=self.normalization,
                    name="mlp",
                )(flat.flat_inputs(vectors, features.dense), train=train)
            )
        return output.Output(name="output")(jnp.concatenate(parts, axis=1))
