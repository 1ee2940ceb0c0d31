"""The embedding table that all fields share."""

import typing
from typing import Any, Protocol

import jax
from flax import linen as nn
from jaxtyping import Float

from afm_jax.errors import InputError
from afm_jax.features import Features
from afm_jax.modules import table_init
from afm_jax.ops import embedding

_EXAMPLES = {
    "vocab_size": "vocab_size: int",
    "slot_fields": "slot_fields: tuple[int, ...] | None = None",
    "init_stddev": "init_stddev: float = 1e-4",
    "first_order_inputs": 'first_order_inputs: str = "all"',
}


@typing.runtime_checkable
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
) -> Float[jax.Array, "B F {embedding_dim}"]:
    """The vector of each field, float32 [B, F, embedding_dim].

    Called from the model that is to own the `FieldEmbedding`, which is its submodule
    `embedding`.

    Raises:
        InputError: the model lacks an attribute of `HasTables`.
    """
    check_attributes(model, "vocab_size", "slot_fields", "init_stddev")
    return FieldEmbedding(
        vocab_size=model.vocab_size,
        embedding_dim=embedding_dim,
        slot_fields=model.slot_fields,
        init_stddev=model.init_stddev,
        name="embedding",
    )(features)


def check_attributes(model: Any, *names: str) -> None:
    """Raises InputError if a model lacks one of these attributes."""
    for name in names:
        if not hasattr(model, name):
            raise InputError(
                f"{type(model).__name__} has no attribute {name!r}, which its tables need; add it as a field of the class, such as `{_EXAMPLES[name]}`."
            )


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
    def __call__(
        self, features: Features
    ) -> Float[jax.Array, "B F {self.embedding_dim}"]:
        """The vector of each field, float32 [B, F, k]; see `ops.embedding.embed_fields`."""
        table = self.param(
            "table",
            table_init.normal(self.init_stddev),
            (self.vocab_size, self.embedding_dim),
        )
        return embedding.embed_fields(
            table, features.ids, features.values, slot_fields=self.slot_fields
        )
