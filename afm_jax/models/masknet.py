"""MaskNet: layers multiplied by instance-guided masks (Wang et al. 2021)."""

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Features
from afm_jax.modules import dense_layer, embedding, mlp, norms, output
from afm_jax.ops import flat

Blocks = Literal["serial", "parallel"]


class MaskBlock(nn.Module):
    """relu(LN(W (m * x))) with the mask m = W_2 relu(W_1 e + b_1) + b_2 (eqs. 5, 12, 14).

    Parameters: the dense layers `aggregation` (W_1, b_1), `projection` (W_2, b_2) and
    `hidden` (W), kernels Xavier normal and biases 0; `norm` (scale 1, bias 0).

    Attributes:
        output_dim: Width of the block's output.
        reduction_ratio: How much wider the mask's hidden layer is than the mask, r in
            the paper.
        dropout_rate: Chance that an output of the block is set to 0 in training.
    """

    output_dim: int
    reduction_ratio: int
    dropout_rate: float

    @nn.compact
    def __call__(
        self, *, instance: jax.Array, inputs: jax.Array, train: bool = False
    ) -> jax.Array:
        """float32 [B, output_dim] of the embeddings e [B, n] and inputs x [B, any]."""
        size = inputs.shape[-1]
        mask = dense_layer.Dense(
            features=self.reduction_ratio * size, name="aggregation"
        )(instance)
        mask = dense_layer.Dense(features=size, name="projection")(nn.relu(mask))
        hidden = dense_layer.Dense(
            features=self.output_dim, use_bias=False, name="hidden"
        )(mask * inputs)
        hidden = nn.relu(norms.layer_norm(hidden, name="norm"))
        return nn.Dropout(
            rate=self.dropout_rate, deterministic=not train, name="dropout"
        )(hidden)


class Model(nn.Module):
    """logits = w^T MLP(y_L) + b or w^T MLP([y_1, ..., y_L]) + b, with y_l = relu(LN(W_l
        (m_l * y_{l-1}))) or y_l = relu(LN(W_l (m_l * y_0))) and masks m_l = mask_l(e).

    y_1, ..., y_L are the outputs of the mask blocks. e = [v_1 x_1, ..., v_F x_F, d], d the dense columns, guides the mask of every block.
    Serial (SerMaskNet, the first form): the first block masks y_0 = [LN(v_1 x_1), ...,
    LN(v_F x_F), d], each other block the output of the block before, and the MLP sees
    that of the last.
    Parallel (ParaMaskNet): all blocks mask y_0, and the MLP sees
    their outputs side by side (eq. 15). The layer norm of each field has its own scale
    and bias.

    The paper's serial form has no MLP on top, as by default here; its parallel form has
    `hidden_dims=(400, 400, 400)`. The paper has no dense columns: here they go around
    the layer norm, which would make a constant of a single number. Tables start at
    N(0, 0.01): at 1e-4 the variance of a vector is far below the layer norm's epsilon
    of 1e-5, and neither it nor the masks would do anything at first.

    Extra parameters: r m (n + m) + m h for each block from m to h numbers, and M of the
    MLP.

    Cost of a row: as many multiplications as extra parameters.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        blocks: 'serial' for mask blocks in a row, or 'parallel' for mask blocks side by
            side.
        block_dims: Width of the output of each mask block, the first block first.
        reduction_ratio: How much wider a mask's hidden layer is than the mask, r in the
            paper.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first. ()
            means no MLP.
        normalization: Normalization of each hidden layer of the MLP: 'batch' over the
            rows, 'layer' over the units, or None.
        dropout_rate: Chance that an output of a mask block or of a hidden layer is set
            to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    blocks: Blocks = "serial"
    block_dims: tuple[int, ...] = (400, 400, 400)
    reduction_ratio: int = 2
    hidden_dims: tuple[int, ...] = ()
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: no hidden block, an unknown option, layer normalization over one
                number, or a normalization without an MLP.
        """
        check_one_of("blocks", self.blocks, typing.get_args(Blocks))
        if not self.block_dims:
            raise InputError(
                "masknet's block_dims is (); expected the width of one block or more."
            )
        norms.check(self.normalization)
        if self.normalization is not None and not self.hidden_dims:
            raise InputError(
                f"masknet's normalization is '{self.normalization}' and its hidden_dims is (), so there is nothing to normalize; give both or neither."
            )
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        # Statistics over k, scale and bias of [F, k].
        normalized = norms.layer_norm(
            vectors, feature_axes=(-2, -1), name="embedding_norm"
        )
        instance, first_inputs = (
            flat.flat_inputs(fields, features.dense) for fields in (vectors, normalized)
        )
        outputs: list[jax.Array] = []
        for i, width in enumerate(self.block_dims):
            previous = (
                outputs[-1] if outputs and self.blocks == "serial" else first_inputs
            )
            block = MaskBlock(
                output_dim=width,
                reduction_ratio=self.reduction_ratio,
                dropout_rate=self.dropout_rate,
                name=f"block_{i}",
            )
            outputs.append(block(instance=instance, inputs=previous, train=train))
        if self.blocks == "serial":
            inputs = outputs[-1]
        else:
            inputs = jnp.concatenate(outputs, axis=1)
        hidden = mlp.MLP(
            hidden_dims=self.hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="mlp",
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
