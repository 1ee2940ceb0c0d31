"""Logistic regression: the first-order model."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import first_order


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i over the fields and the dense columns.

    Extra parameters: none.

    Cost of a row: F + D.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]."""
        del train  # nothing here is random
        return first_order.first_order_logits(self, features)
