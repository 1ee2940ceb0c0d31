"""The first-order part of a model: a bias and one weight per feature."""

import typing
from typing import Literal, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Float

from afm_jax.errors import check_one_of
from afm_jax.features import Features
from afm_jax.modules import embedding, table_init
from afm_jax.ops import exact
from afm_jax.ops.embedding import embed_fields

Inputs = Literal["all", "fields", "dense"]


@typing.runtime_checkable
class HasFirstOrder(embedding.HasTables, Protocol):
    """A model with a first-order part; see `FirstOrder` for the attributes."""

    @property
    def first_order_inputs(self) -> Inputs: ...


def first_order_logits(
    model: HasFirstOrder, features: Features
) -> Float[jax.Array, " B"]:
    """The first-order part of the logits, float32 [B].

    Called from the model that is to own the `FirstOrder`, which is its submodule
    `first_order`.

    Raises:
        InputError: the model lacks an attribute of `HasFirstOrder`.
    """
    embedding.check_attributes(
        model, "vocab_size", "slot_fields", "init_stddev", "first_order_inputs"
    )
    return FirstOrder(
        vocab_size=model.vocab_size,
        slot_fields=model.slot_fields,
        inputs=model.first_order_inputs,
        init_stddev=model.init_stddev,
        name="first_order",
    )(features)


class FirstOrder(nn.Module):
    """w_0 + sum_i w_i x_i over the fields, the dense columns, or both.

    A multi-valued field counts with the mean over its slots, as in the embedding.

    Parameters: `table` float32 [vocab_size, 1], N(0, init_stddev), unless `inputs` is
    'dense'; `kernel` float32 [D, 1], likewise, unless `inputs` is 'fields' or D is 0; `bias`
    float32 [1], 0.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        inputs: What has first-order weights: 'fields', 'dense' (the dense columns), or
            'all' (both).
        init_stddev: Standard deviation of the initial weights. They are near 0, so that
            logits begin near the bias; Xavier's would be N(0, 1) for one dense column.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    inputs: Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features) -> Float[jax.Array, " B"]:
        """The first-order part of the logits, float32 [B].

        Raises:
            InputError: unknown `inputs`.
        """
        check_one_of("first_order_inputs", self.inputs, typing.get_args(Inputs))
        bias = self.param("bias", nn.initializers.zeros, (1,))
        logits = jnp.broadcast_to(bias, features.ids.shape[:1])
        if self.inputs != "dense":
            table = self.param(
                "table",
                table_init.normal(self.init_stddev),
                (self.vocab_size, 1),
            )
            weights = embed_fields(
                table, features.ids, features.values, slot_fields=self.slot_fields
            )
            logits = logits + weights.sum(axis=(1, 2))
        num_dense = features.dense.shape[-1]
        if self.inputs != "fields" and num_dense > 0:
            kernel = self.param(
                "kernel", nn.initializers.normal(self.init_stddev), (num_dense, 1)
            )
            dense = exact.dot(features.dense, kernel)
            logits = logits + dense[:, 0]
        return logits
