"""Logistic regression: the first-order model."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import first_order


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i over the fields and the dense columns.

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        first_order_inputs: 'all', 'fields' or 'dense'; see `modules.first_order`.
        init_stddev: standard deviation of the initial table.
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
