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
        model.vocab_size,
        embedding_dim,
        model.slot_fields,
        model.init_stddev,
        name="embedding",
    )(features)


class FieldEmbedding(nn.Module):
    """Looks ids up in one table, multiplies by values and pools slots into fields.

    Parameters: `table` float32 [vocab_size, embedding_dim], N(0, init_stddev).

    Attributes:
        vocab_size: rows of the table, the feature ids of all fields together.
        embedding_dim: k.
        slot_fields: the field of each slot; None means one slot per field.
        init_stddev: standard deviation of the initial table.
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
