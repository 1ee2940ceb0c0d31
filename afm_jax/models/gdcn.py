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
    def __call__(self, x0: jax.Array, x: jax.Array) -> jax.Array:
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

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        structure: 'parallel' or 'stacked'.
        num_cross_layers: L.
        hidden_dims: width of each hidden layer of the MLP.
        normalization: 'batch', 'layer' or None; see `modules.norms`.
        dropout_rate: of the outputs of the hidden layers.
        init_stddev: standard deviation of the initial table.
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
            crossed = GatedCross(name=f"cross_{layer}")(c0, crossed)
        deep = mlp.MLP(
            self.hidden_dims, self.dropout_rate, self.normalization, name="mlp"
        )
        if self.structure == "parallel":
            hidden = jnp.concatenate([crossed, deep(c0, train=train)], axis=1)
        else:
            hidden = deep(crossed, train=train)
        return output.Output(name="output")(hidden)
