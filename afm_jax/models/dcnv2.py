"""DCN-V2, deep & cross network with matrices (Wang et al. 2021)."""

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


class MatrixCross(nn.Module):
    """A cross layer with a full matrix.

    Parameters: `kernel` float32 [d, d], Xavier normal, and `bias` float32 [d], 0.
    """

    @nn.compact
    def __call__(self, x0: jax.Array, x: jax.Array) -> jax.Array:
        """float32 [B, d] of x0 and x float32 [B, d]; see `ops.cross.matrix_cross`."""
        size = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.xavier_normal(), (size, size))
        bias = self.param("bias", nn.initializers.zeros, (size,))
        return cross.matrix_cross(x0, x, kernel, bias)


class MixtureCross(nn.Module):
    """A cross layer of low-rank experts, n of rank r.

    Parameters: `gate` float32 [d, n], `down` [n, d, r], `core` [n, r, r] and `up`
    [n, r, d], all Xavier normal, for each expert alone; `bias` float32 [d], 0.

    So `down` and `up` start with variance 2 / (d + r), `core` with 1 / r and `gate` with
    2 / (d + n). FuxiCTR starts the n matrices of a kind as one array, of which PyTorch
    counts n as outputs: the variances of its `down` and `up` are 2 / (d r + n r), that of
    `core` 2 / (r^2 + n r), and that of `gate` 2 / (d + 1). All its cross layers share one
    gate; here each has its own.

    Attributes:
        rank: r.
        num_experts: n.
    """

    rank: int
    num_experts: int

    @nn.compact
    def __call__(self, x0: jax.Array, x: jax.Array) -> jax.Array:
        """float32 [B, d] of x0 and x float32 [B, d]; see `ops.cross.mixture_cross`."""
        size = x.shape[-1]
        n, r = self.num_experts, self.rank
        of_each = nn.initializers.xavier_normal(batch_axis=0)
        return cross.mixture_cross(
            x0,
            x,
            gate=self.param("gate", nn.initializers.xavier_normal(), (size, n)),
            down=self.param("down", of_each, (n, size, r)),
            core=self.param("core", of_each, (n, r, r)),
            up=self.param("up", of_each, (n, r, size)),
            bias=self.param("bias", nn.initializers.zeros, (size,)),
        )


class Model(nn.Module):
    """logits = p^T h + b, with x_{l+1} = x_0 * (W_l x_l + b_l) + x_l (eq. 1).

    x_0 = [v_1 x_1, ..., v_F x_F, d], d the dense columns, L the number of cross layers.
    h = [x_L, MLP(x_0)] in the parallel structure and MLP(x_L) in the stacked one. With
    `low_rank_dim` each cross layer is a mixture of low-rank experts (section 3.5); see
    `ops.cross.mixture_cross`.

    The paper tunes depths and widths on each data set; the defaults are the hidden
    layers of DeepFM and three cross layers. Departure: all fields have vectors of one
    size, where the paper's may differ.

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        structure: 'parallel' or 'stacked'.
        num_cross_layers: L.
        low_rank_dim: r, the rank of each expert; None means full matrices.
        num_experts: experts of each cross layer; counts with `low_rank_dim` only.
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
    low_rank_dim: int | None = None
    num_experts: int = 4
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
        x0 = flat.flat_inputs(vectors, features.dense)
        crossed = x0
        for layer in range(self.num_cross_layers):
            name = f"cross_{layer}"
            if self.low_rank_dim is None:
                crossed = MatrixCross(name=name)(x0, crossed)
            else:
                crossed = MixtureCross(self.low_rank_dim, self.num_experts, name=name)(
                    x0, crossed
                )
        deep = mlp.MLP(
            self.hidden_dims, self.dropout_rate, self.normalization, name="mlp"
        )
        if self.structure == "parallel":
            hidden = jnp.concatenate([crossed, deep(x0, train=train)], axis=1)
        else:
            hidden = deep(crossed, train=train)
        return output.Output(name="output")(hidden)
