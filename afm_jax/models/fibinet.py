"""Feature importance and bilinear interaction network (Huang et al. 2019)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import embedding, first_order, mlp, norms, output
from afm_jax.ops import bilinear, interactions

BilinearType = Literal["all", "each", "interaction"]


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + h^T MLP([p, q, d]), d the dense columns.

    p are the bilinear interactions (e_i W) * e_j, i < j, of the field vectors
    e_i = v_i x_i, and q those of a_i e_i, where the weights a = relu(W_2 relu(W_1 z))
    come of z_i, the mean of e_i (SENET). W is one matrix ('all'), one for each first
    field ('each'), or one for each pair ('interaction'), and another for p than for q.
    No hidden layer and h = 1 is the paper's shallow form. The dropout, 0.5 there, is 0
    until it is asked for.

    Each matrix W starts Xavier normal by itself, with variance 1 / k. FuxiCTR starts n
    matrices, those of 'each' and of 'interaction', as one array [n, k, k], of which
    PyTorch counts n as outputs and k^2 as inputs: the variance is 2 / (k^2 + n k) there,
    (k + n) / 2 times smaller. W of 'all', W_1 and W_2 start alike in both.

    Extra parameters: 2 F² / r + 2 c k² + M(2 P k + D), c = P, F - 1 or 1 matrices.

    Cost of a row: 2 P k², or 2 (F - 1) k² for c < P; and 2 P k + M(2 P k + D).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        bilinear_type: How many matrices W there are: 'all' for one, 'each' for one for
            each first field, 'interaction' for one for each pair.
        reduction_ratio: How much narrower the hidden layer of the weights a is than F,
            r in the paper: W_1 has max(1, F // r) outputs.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    bilinear_type: BilinearType = "interaction"
    reduction_ratio: int = 3
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: fewer than two fields, or an unknown option.
        """
        check_one_of("bilinear_type", self.bilinear_type, typing.get_args(BilinearType))
        logits = first_order.first_order_logits(self, features)
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        num_rows, num_fields, k = vectors.shape
        num_pairs = len(interactions.pair_indices(num_fields)[0])
        xavier = nn.initializers.xavier_normal()
        width = max(1, num_fields // self.reduction_ratio)
        squeeze = self.param("squeeze", xavier, (num_fields, width))
        excitation = self.param("excitation", xavier, (width, num_fields))
        weighted = bilinear.squeeze_excitation(vectors, squeeze, excitation)
        num_kernels = {
            "all": (),
            "each": (num_fields - 1,),
            "interaction": (num_pairs,),
        }[self.bilinear_type]
        # Each of the matrices Xavier normal by itself.
        xavier = nn.initializers.xavier_normal(batch_axis=range(len(num_kernels)))
        parts = []
        for name, fields in ("plain", vectors), ("weighted", weighted):
            kernel = self.param(f"bilinear_{name}", xavier, (*num_kernels, k, k))
            pairs = bilinear.bilinear_interaction(fields, kernel)
            parts.append(pairs.reshape(num_rows, -1))
        inputs = jnp.concatenate([*parts, features.dense], axis=1)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(inputs, train=train)
        return logits + output.Output(use_bias=False, name="output")(hidden)
