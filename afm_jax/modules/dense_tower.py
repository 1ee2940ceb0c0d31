"""The dense columns as a vector that is added to another before the output layer."""

import typing
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from afm_jax.errors import check_one_of
from afm_jax.features import Array, Features
from afm_jax.modules import embedding, first_order, output
from afm_jax.ops import exact

Inputs = Literal["all", "fields", "dense", "dense_tower"]
"""Those of `first_order.FirstOrder`, or the tower in its place."""

_XAVIER_NORMAL = nn.initializers.xavier_normal()


@typing.runtime_checkable
class HasTower(embedding.HasTables, Protocol):
    """A model that has a first-order part or a tower; see `logits_of`."""

    @property
    def first_order_inputs(self) -> Inputs: ...


def logits_of(
    model: HasTower,
    features: Features,
    vector: Float[Array, "B n"],
    *,
    kernel_init: nn.initializers.Initializer = _XAVIER_NORMAL,
) -> Float[jax.Array, " B"]:
    """The logits of a model from its last vector z and its first-order part.

    They are w_0 + sum_i w_i x_i + p^T z. Where `first_order_inputs` is 'dense_tower',
    they are p^T (z + A^T d + c) + b instead, d being the dense columns. That is the
    same function of z and d as 'dense' gives, with other parameters: a penalty falls on
    A and p, where it would fall on the product A p.

    Called from the model that is to own the submodules: `output` and either
    `first_order` or `dense_tower`.

    Args:
        model: the model.
        features: of B rows.
        vector: z, float32 [B, n].
        kernel_init: initialiser of p.

    Returns:
        float32 [B].

    Raises:
        InputError: unknown `first_order_inputs`.
    """
    inputs = model.first_order_inputs
    check_one_of("first_order_inputs", inputs, typing.get_args(Inputs))
    if inputs == "dense_tower":
        tower = DenseTower(width=vector.shape[-1], name="dense_tower")(features.dense)
        return output.Output(kernel_init=kernel_init, name="output")(vector + tower)
    first = first_order.first_order_logits(
        typing.cast(first_order.HasFirstOrder, model), features
    )
    projected = output.Output(use_bias=False, kernel_init=kernel_init, name="output")
    return first + projected(vector)


class DenseTower(nn.Module):
    """A^T d + c, one linear layer over the dense columns.

    Parameters: `kernel` float32 [D, width] (A, Xavier normal) unless D is 0, and `bias`
    float32 [width] (c, 0).

    Attributes:
        width: Width of the vector that comes out.
    """

    width: int

    @nn.compact
    def __call__(
        self, dense: Float[Array, "B D"]
    ) -> Float[jax.Array, "B {self.width}"]:
        """float32 [B, width] of float32 [B, D]; c in each row where D is 0."""
        num_rows, num_dense = dense.shape
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        tower = jnp.broadcast_to(bias, (num_rows, self.width))
        if num_dense == 0:
            return tower
        kernel = self.param("kernel", _XAVIER_NORMAL, (num_dense, self.width))
        return exact.dot(dense, kernel) + tower
