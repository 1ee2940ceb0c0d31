"""Adaptive factorization network (Cheng et al. 2020)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import flat, log_neurons

Normalization = Literal["batch", None]


class LogarithmicLayer(nn.Module):
    """Products of fields to learned powers, normalized before and after.

    Parameters: `exponents` float32 [F, num_neurons], N(0, 0.1); `bias` float32
    [num_neurons], 0; with normalization `log_norm` per field and `exp_norm` per neuron,
    over the rows and the k dimensions, with the settings of `modules.norms`.

    Attributes:
        num_neurons: Number of products, N in the formula.
        normalization: Normalization before and after the products: 'batch' over the
            rows, or None.
    """

    num_neurons: int
    normalization: Normalization = "batch"

    @nn.compact
    def __call__(self, vectors: jax.Array, *, train: bool = False) -> jax.Array:
        """The products, float32 [B, num_neurons, k], of vectors [B, F, k].

        Raises:
            InputError: an unknown normalization.
        """
        check_one_of(
            "normalization", self.normalization, typing.get_args(Normalization)
        )
        exponents = self.param(
            "exponents",
            nn.initializers.normal(0.1),
            (vectors.shape[1], self.num_neurons),
        )
        bias = self.param("bias", nn.initializers.zeros, (self.num_neurons,))
        logarithms = self._normalized(
            "log_norm", log_neurons.log_magnitudes(vectors), train
        )
        products = log_neurons.power_products(logarithms, exponents, bias)
        return self._normalized("exp_norm", products, train)

    def _normalized(self, name: str, inputs: jax.Array, train: bool) -> jax.Array:
        if self.normalization is None:
            return inputs
        return norms.batch_norm(inputs, train=train, name=name, axis=1)


class Model(nn.Module):
    """logits = w^T [MLP([y_1, ..., y_N, d]), MLP'([v'_1, ..., v'_F, d])] + b.

    y_n = exp(b_n + sum_f w_{fn} ln |v_f|), a product of the fields to learned powers,
    d the dense columns. The table has rows of 2k numbers, v and v'. With
    `deep_hidden_dims` this is the paper's AFN+, without it AFN, whose rows have v only.

    Departures: the authors train the two parts of AFN+ with a loss each and only weigh
    their logits together, here one loss trains the sum. Magnitudes from 1e-4 on count,
    as in their code (1e-7 in the paper), of the pooled vector times its value, where
    their code clips the vector. Tables start at N(0, init_stddev), where v is Glorot
    normal there and v' N(0, 0.1), and the products have no dropout. Normalization comes
    before the relu of the hidden layers. The paper has no dense columns; a logarithm
    would take their sign away, so that they enter the MLPs.

    Extra parameters: k per feature, for v', and F N + M(N k + D) + M'(n), M' of the MLP
    over v'.

    Cost of a row: F N k + M(N k + D) + M'(n).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        logarithmic_dim: Number of products, N in the formula. The paper has 600 for
            Frappe, 800 for MovieLens, 1200 for Avazu and 1500 for Criteo.
        hidden_dims: Width of each hidden layer of the MLP over the products, the first
            layer first.
        deep_hidden_dims: Width of each hidden layer of the MLP over v', the first layer
            first. () means AFN, which has no v'.
        normalization: Normalization of the logarithms, the products and the hidden
            layers: 'batch' over the rows, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    logarithmic_dim: int = 600
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    deep_hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: Normalization = "batch"
    dropout_rate: float = 0.0
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'."""
        vectors = embedding.field_vectors(
            self, self.embedding_dim * (2 if self.deep_hidden_dims else 1), features
        )
        crossed = LogarithmicLayer(
            num_neurons=self.logarithmic_dim,
            normalization=self.normalization,
            name="logarithmic",
        )(vectors[:, :, : self.embedding_dim], train=train)
        parts = [("mlp", self.hidden_dims, crossed)]
        if self.deep_hidden_dims:
            deep = vectors[:, :, self.embedding_dim :]
            parts.append(("deep_mlp", self.deep_hidden_dims, deep))
        hidden = []
        for name, hidden_dims, inputs in parts:
            hidden.append(
                mlp.MLP(
                    hidden_dims=hidden_dims,
                    dropout_rate=self.dropout_rate,
                    normalization=self.normalization,
                    name=name,
                )(flat.flat_inputs(inputs, features.dense), train=train)
            )
        return output.Output(name="output")(jnp.concatenate(hidden, axis=1))
