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
    def __call__(self, *, x0: jax.Array, x: jax.Array) -> jax.Array:
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
        rank: Width of the space of each expert, r in the paper.
        num_experts: Number of experts, n above.
    """

    rank: int
    num_experts: int

    @nn.compact
    def __call__(self, *, x0: jax.Array, x: jax.Array) -> jax.Array:
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

    Extra parameters: L n² + M(n); L e (2 n r + r² + n) + M(n) with e experts of rank r.

    Cost of a row: as many multiplications as extra parameters.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        structure: 'parallel' for an MLP beside the cross layers, or 'stacked' for an
            MLP after them.
        num_cross_layers: Number of cross layers, L in the formula.
        low_rank_dim: Rank of the matrices of each expert, r in the paper. None means
            one full matrix and no experts.
        num_experts: Number of experts of each cross layer. It has no effect without
            `low_rank_dim`.
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
                crossed = MatrixCross(name=name)(x0=x0, x=crossed)
            else:
                crossed = MixtureCross(
                    rank=self.low_rank_dim, num_experts=self.num_experts, name=name
                )(x0=x0, x=crossed)
        deep = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )
        if self.structure == "parallel":
            hidden = jnp.concatenate([crossed, deep(x0, train=train)], axis=1)
        else:
            hidden = deep(crossed, train=train)
        return output.Output(name="output")(hidden)
