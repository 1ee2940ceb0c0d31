"""Product-based neural network (Qu et al. 2016)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import products

Products = Literal["inner", "outer", "both"]


class Model(nn.Module):
    """logits = w^T MLP([v_1 x_1, ..., v_F x_F, p, d]) + b, d the dense columns.

    p is made of the vectors f_i = v_i x_i: the inner products <f_i, f_j> of all pairs
    (IPNN), the outer product of sum_i f_i with itself (OPNN), or both (PNN*). The first
    layer over the concatenation is the paper's l_z + l_p + b_1.

    Departures from the paper: <f_i, f_i> is left out of the inner products, and of each
    symmetric matrix one half is kept, as the weights of equal inputs are one weight.
    The weights of p are whole, not of rank 1 as in the paper's IPNN, which saves
    memory and time. The dropout, 0.5 there, is 0 until it is asked for.

    Extra parameters: M(n + P) with inner products, M(n + k (k + 1) / 2) with outer
    products.

    Cost of a row: F² k + M(n + P) with inner products, k² + M(n + k (k + 1) / 2) with
    outer products.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        products: Products that the MLP sees beside the vectors: 'inner', 'outer' or
            'both'.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    products: Products = "inner"
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: fewer than two fields with inner products, or an unknown option.
        """
        check_one_of("products", self.products, typing.get_args(Products))
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        parts = [vectors.reshape(vectors.shape[0], -1)]
        if self.products in ("inner", "both"):
            parts.append(products.inner_products(vectors))
        if self.products in ("outer", "both"):
            parts.append(products.outer_product_of_sum(vectors))
        inputs = jnp.concatenate([*parts, features.dense], axis=1)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
