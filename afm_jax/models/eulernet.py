"""EulerNet: interactions of complex vectors in polar form (Tian et al. 2023)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import dense_embedding, dense_layer, embedding, norms, output
from afm_jax.ops import euler

Normalization = Literal["layer", None]


def init_orders(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Powers [F, N] to start from: vector n takes one field alone.

    The n-th if F = N, else one drawn for each n (ties apart): a softmax over the fields
    of N(0, 100), as in the authors' code.
    """
    if shape[0] == shape[1]:
        return jnp.eye(shape[0])
    return jax.nn.softmax(100 * jax.random.normal(key, shape), axis=0)


class EulerLayer(nn.Module):
    """Explicit and implicit interactions of complex vectors z_j, added.

    o_n = prod_j z_j^alpha_jn e^(delta_n + i delta'_n) + relu(U Re z + c)_n
          + i relu(U Im z + c)_n.

    Parameters: `orders` float32 [F, N], alpha (see `init_orders`); `log_modulus_bias`
    and `phase_bias` float32 [N, k], delta and delta', N(0, 0.01); `implicit`, the dense
    layer U, c; with normalization `real_norm` and `imaginary_norm` of the result, over
    the k dimensions.

    Attributes:
        num_vectors: Number of vectors that come out, N in the formula.
        normalization: Normalization of the vectors that come out: 'layer' over the k
            dimensions, or None.
        explicit_dropout_rate: Chance that a log modulus or a phase is set to 0 in
            training.
        implicit_dropout_rate: Chance that an input of the dense layer is set to 0 in
            training.
    """

    num_vectors: int
    normalization: Normalization = None
    explicit_dropout_rate: float = 0.0
    implicit_dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, vectors: euler.Complex, *, train: bool = False) -> euler.Complex:
        """The new vectors, [B, N, k], of complex vectors [B, F, k].

        Raises:
            InputError: an unknown normalization.
        """
        check_one_of(
            "normalization", self.normalization, typing.get_args(Normalization)
        )
        num_rows, num_fields, k = vectors.real.shape
        shape = (self.num_vectors, k)
        orders = self.param("orders", init_orders, (num_fields, self.num_vectors))
        small = nn.initializers.normal(0.01)
        biases = [
            self.param(name, small, shape)
            for name in ("log_modulus_bias", "phase_bias")
        ]
        drop_explicit, drop_implicit = (
            nn.Dropout(rate=rate, deterministic=not train, name=name)
            for name, rate in (
                ("explicit_dropout", self.explicit_dropout_rate),
                ("implicit_dropout", self.implicit_dropout_rate),
            )
        )
        log_modulus, phase = euler.to_log_polar(vectors)
        explicit = euler.complex_products(
            drop_explicit(log_modulus), drop_explicit(phase), orders, *biases
        )
        implicit = dense_layer.Dense(features=self.num_vectors * k, name="implicit")
        parts = []
        for name, own, product in zip(
            ("real_norm", "imaginary_norm"), vectors, explicit, strict=True
        ):
            hidden = nn.relu(implicit(drop_implicit(own).reshape(num_rows, -1)))
            part = product + hidden.reshape(num_rows, *shape)
            if self.normalization is not None:
                part = norms.layer_norm(part, name=name)
            parts.append(part)
        return euler.Complex(*parts)


class Model(nn.Module):
    """logits = w^T (Re o + Im o) + b, o the vectors of the last `EulerLayer`.

    The first layer sees z_j = mu_j e^(i v_j): the vectors v of the fields and d_j u_j of
    the dense columns d are phases, in radians, all dimensions of a field with one
    modulus mu_j. Without `order_dims` there is no interaction. Products of complex
    vectors to learned powers need no positive vectors, as those of `models.afn` do.

    Departures: tables start at N(0, init_stddev) and dense layers Xavier normal, where
    the authors' code has Xavier uniform tables and dense layers of N(0, 0.01).

    Extra parameters: m N + m N k² + m + D k, m = F + D, N = order_dims.

    Cost of a row: 2 m N k (k + 1).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        order_dims: Number of vectors, and so of interactions, of each layer, the first
            layer first. The authors' settings have as many as fields, so that alpha
            starts as the identity.
        normalization: Normalization of the vectors of each layer: 'layer' over the k
            dimensions, or None.
        explicit_dropout_rate: Chance that a log modulus or a phase of the products is
            set to 0 in training.
        implicit_dropout_rate: Chance that an input of a dense layer is set to 0 in
            training.
        init_stddev: Standard deviation of the initial normal distribution of the table
            and of the vectors u.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    order_dims: tuple[int, ...] = (32,)
    normalization: Normalization = None
    explicit_dropout_rate: float = 0.0
    implicit_dropout_rate: float = 0.0
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        dense_vectors = dense_embedding.DenseEmbedding(
            embedding_dim=self.embedding_dim,
            init_stddev=self.init_stddev,
            name="dense_embedding",
        )(features.dense)
        phases = jnp.concatenate([vectors, dense_vectors], axis=1)
        modulus = self.param("modulus", nn.initializers.ones, (phases.shape[1],))
        layer = euler.from_polar(
            jnp.broadcast_to(modulus[:, None], phases.shape), phases
        )
        for i, num_vectors in enumerate(self.order_dims):
            layer = EulerLayer(
                num_vectors=num_vectors,
                normalization=self.normalization,
                explicit_dropout_rate=self.explicit_dropout_rate,
                implicit_dropout_rate=self.implicit_dropout_rate,
                name=f"euler_{i}",
            )(layer, train=train)
        return output.Output(name="output")(
            (layer.real + layer.imaginary).reshape(phases.shape[0], -1)
        )
