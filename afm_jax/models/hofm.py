"""Higher-order factorization machine of order 3 (Blondel et al. 2016)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, first_order
from afm_jax.ops import anova, interactions


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + sum_{i<j} <u_i, u_j> x_i x_j
        + sum_{i<j<l} <v_i, v_j, v_l> x_i x_j x_l.

    <v_i, v_j, v_l> is the sum of the element-wise product. The vectors u of order 2 and
    v of order 3 are separate, as in the paper's first form, the two halves of a row of
    the table. The sets are sets of fields: a multi-valued field has one vector, the
    mean over its slots. Dense columns enter the first-order part alone. The paper has
    no bias w_0.

    Extra parameters: k per feature, for u.

    Cost of a row: F k.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector u and v, k in the formula.
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
        vectors = embedding.field_vectors(self, 2 * self.embedding_dim, features)
        second, third = jnp.split(vectors, 2, axis=-1)
        triples = anova.anova_kernel(third, order=3).sum(axis=-1)
        return logits + interactions.fm_pair_term(second) + triples
