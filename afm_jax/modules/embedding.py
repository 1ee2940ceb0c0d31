"""The embedding table that all fields share."""

from typing import Protocol

import jax
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import table_init
from afm_jax.ops import embedding


class HasTables(Protocol):
    """A model whose tables these are; see `FieldEmbedding` for the attributes."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def slot_fields(self) -> tuple[int, ...] | None: ...

    @property
    def init_stddev(self) -> float: ...


def field_vectors(
    model: HasTables, embedding_dim: int, features: Features
) -> jax.Array:
    """The vector of each field, float32 [B, F, embedding_dim].

    Called from the model that is to own the `FieldEmbedding`, which is its submodule
    `embedding`.
    """
    return FieldEmbedding(
        vocab_size=model.vocab_size,
        embedding_dim=embedding_dim,
        slot_fields=model.slot_fields,
        init_stddev=model.init_stddev,
        name="embedding",
    )(features)


class FieldEmbedding(nn.Module):
    """Looks ids up in one table, multiplies by values and pools slots into fields.

    Parameters: `table` float32 [vocab_size, embedding_dim], N(0, init_stddev).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        embedding_dim: Width of each embedding vector, k in the formula.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    embedding_dim: int
    slot_fields: tuple[int, ...] | None = None
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features) -> jax.Array:
        """The vector of each field, float32 [B, F, k]; see `ops.embedding.embed_fields`."""
        table = self.param(
            "table",
            table_init.normal(self.init_stddev),
            (self.vocab_size, self.embedding_dim),
        )
        return embedding.embed_fields(
            table, features.ids, features.values, slot_fields=self.slot_fields
        )
