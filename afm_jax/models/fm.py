"""Factorization machine (Rendle 2010)."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, first_order
from afm_jax.ops import interactions


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j (eq. 1).

    The pairs are pairs of fields: a multi-valued field has one vector, the mean over
    its slots, where the paper pairs its values with one another too. Dense columns
    enter the first-order part alone.

    Extra parameters: none.

    Cost of a row: F k.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]."""
        del train  # nothing here is random
        logits = first_order.first_order_logits(self, features)
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        return logits + interactions.fm_pair_term(vectors)
