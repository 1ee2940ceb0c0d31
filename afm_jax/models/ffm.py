"""Field-aware factorization machine (Juan et al. 2016)."""

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, first_order
from afm_jax.ops import field_pairs


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + sum_{i<j} <v_{i,j}, v_{j,i}> x_i x_j.

    v_{i,j} is the vector that the feature of field i has for products with field j:
    each feature has F of them, the rows of the table being F k wide. The pairs are
    pairs of fields: a multi-valued field has the mean over its slots. Dense columns
    enter the first-order part alone.

    Departures from the paper: the tables start at N(0, init_stddev), where its start
    uniform in [0, 1 / sqrt(k)], rows are not scaled to unit length, and there is a
    first-order part, which the paper's model has not. The F-th part of the table that
    holds v_{i,i} stays unused, as in the authors' LIBFFM for one feature a field.

    Extra parameters: (F - 1) k per feature.

    Cost of a row: F² k.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula. A feature has F
            of them. The default is LIBFFM's.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 4
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]."""
        del train  # nothing here is random
        num_slots = features.ids.shape[1]
        num_fields = num_slots if self.slot_fields is None else self.slot_fields[-1] + 1
        logits = first_order.first_order_logits(self, features)
        vectors = embedding.field_vectors(
            self, num_fields * self.embedding_dim, features
        )
        vectors = vectors.reshape(-1, num_fields, num_fields, self.embedding_dim)
        return logits + field_pairs.field_aware_pair_term(vectors)
