"""Gated deep & cross network (Wang et al. 2023)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import cross, flat

Structure = Literal["parallel", "stacked"]


class GatedCross(nn.Module):
    """A cross layer with an information gate.

    Parameters: `kernel` and `gate` float32 [d, d], Xavier normal; `bias` float32 [d],
    0.
    """

    @nn.compact
    def __call__(self, *, x0: jax.Array, x: jax.Array) -> jax.Array:
        """float32 [B, d] of x0 and x float32 [B, d]; see `ops.cross.gated_cross`."""
        size = x.shape[-1]
        xavier = nn.initializers.xavier_normal()
        return cross.gated_cross(
            x0,
            x,
            kernel=self.param("kernel", xavier, (size, size)),
            bias=self.param("bias", nn.initializers.zeros, (size,)),
            gate=self.param("gate", xavier, (size, size)),
        )


class Model(nn.Module):
    """logits = p^T h + b, c_{l+1} = c_0 * (W_l c_l + b_l) * sigmoid(G_l c_l) + c_l.

    c_0 = [v_1 x_1, ..., v_F x_F, d], d the dense columns, L the number of cross layers.
    h = [c_L, MLP(c_0)] in the parallel structure, the paper's GDCN-P, and MLP(c_L) in
    the stacked one, GDCN-S.

    Departures: vectors of one size, without the paper's field-level dimension
    optimization, which cuts sizes after a first training; biases start at 0, where the
    authors' code draws them from U(0, 1). The hidden layers are those of DeepFM, with
    the batch normalization and the dropout of 0.5 of that code if asked for.

    Extra parameters: 2 L n² + M(n).

    Cost of a row: 2 L n² + M(n).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        structure: 'parallel' for an MLP beside the cross layers, or 'stacked' for an
            MLP after them.
        num_cross_layers: Number of cross layers, L in the formula.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    structure: Structure = "parallel"
    num_cross_layers: int = 3
    hidden_dims: tuple[int, ...] = (400, 400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: an unknown option.
        """
        check_one_of("structure", self.structure, typing.get_args(Structure))
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        c0 = flat.flat_inputs(vectors, features.dense)
        crossed = c0
        for layer in range(self.num_cross_layers):
            crossed = GatedCross(name=f"cross_{layer}")(x0=c0, x=crossed)
        deep = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )
        if self.structure == "parallel":
            hidden = jnp.concatenate([crossed, deep(c0, train=train)], axis=1)
        else:
            hidden = deep(crossed, train=train)
        return output.Output(name="output")(hidden)
