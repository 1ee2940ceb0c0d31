"""Table rows that no training row uses: the mean of their field's trained rows.

The rows of MISSING and UNSEEN, and of every other id that no training row has, get no
gradient. At their random start they would add noise to each logit. The mean of the rows
of the field's trained ids, each counted as often as it was trained on, is what is known
of a value of which nothing else is known.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax.features import Array, Schema
from afm_jax.training import state as states
from afm_jax.training.state import TrainState

_CHUNK = 8192
"""Table rows that are summed at once."""


class Untrained(NamedTuple):
    """Which table rows are untrained, and how to make up for it.

    Attributes:
        table_rows: int32 [U], the untrained table rows, rising. Those of a field that has no
            trained row are not among them: there is nothing to take a mean of.
        fields: int32 [U], the field of each.
        shares: float32 [vocab_size], the share of each table row in the mean of its
            field; those of a field sum to 1.
        first_ids: int32 [F + 1], the first id of each field, and vocab_size.
    """

    table_rows: Array
    fields: Array
    shares: Array
    first_ids: Array


def find(schema: Schema, counts: np.ndarray) -> Untrained:
    """The untrained table rows.

    Args:
        schema: of the data.
        counts: integer [vocab_size], how many slots of the training rows hold each id.
            Slots with value 0, which only fill a multi-valued field up, do not count.
    """
    sizes = [field.vocab_size for field in schema.fields]
    first_ids = np.cumsum([0, *sizes], dtype=np.int32)
    totals = np.add.reduceat(np.asarray(counts, np.int64), first_ids[:-1])
    fields = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    shares = counts / np.maximum(totals, 1)[fields]
    rows = np.flatnonzero((counts == 0) & (totals > 0)[fields])
    return Untrained(
        rows.astype(np.int32), fields[rows], shares.astype(np.float32), first_ids
    )


def fill(state: TrainState, untrained: Untrained, *, shards: int = 1) -> TrainState:
    """The state with the untrained rows of every table of its parameters set.

    Each becomes the mean of the rows of its field, weighted by `shares`. The optimizer's
    state stays as it is. One pass over the tables: the work is a product of a matrix [F,
    vocab_size] with each table, in float32, always in the same order.

    Args:
        state: in any layout; tables may have further rows, past vocab_size.
        untrained: what `find` gave.
        shards: number of equal parts by rows that a table lies in, on as many devices.
            Every device sums over its own.
    """
    joined = state.scalar_tables is not None
    state = states.split_scalar_tables(state)

    def fill_one(path: Any, leaf: jax.Array) -> jax.Array:
        if not states.is_table(path):
            return leaf
        means = _means(leaf.reshape(len(leaf), -1), untrained, shards)
        new = means[untrained.fields].reshape(-1, *leaf.shape[1:])
        return leaf.at[untrained.table_rows].set(
            new, unique_indices=True, indices_are_sorted=True
        )

    params = jax.tree_util.tree_map_with_path(fill_one, state.params)
    state = state._replace(params=params)
    return states.join_scalar_tables(state) if joined else state


def _means(table: jax.Array, untrained: Untrained, shards: int) -> jax.Array:
    """The mean row of every field, float32 [F, k]."""
    # Arrays of [shards, rows of a chunk, fields].
    first_ids = jnp.asarray(untrained.first_ids)[None, None]
    length = len(table) // shards
    parts = table.reshape(shards, length, -1)
    shares = jnp.pad(untrained.shares, (0, len(table) - len(untrained.shares)))
    shares = shares.reshape(shards, length, 1)
    starts = length * jnp.arange(shards, dtype=jnp.int32)[:, None, None]
    size = min(_CHUNK, length)

    def add(i, sums):
        # The last chunk begins earlier, to end with the part.
        start = jnp.minimum(i * size, length - size)
        within = start + jnp.arange(size, dtype=jnp.int32)[None, :, None]
        ids = starts + within
        counted = (ids >= first_ids[..., :-1]) & (ids < first_ids[..., 1:])
        counted &= within >= i * size
        rows = jax.lax.dynamic_slice_in_dim(parts, start, size, axis=1)
        weights = jax.lax.dynamic_slice_in_dim(shares, start, size, axis=1)
        weights = jnp.where(counted, weights, 0.0)
        # A GPU would round the operands otherwise.
        return sums + jnp.einsum(
            "srf,srk->sfk", weights, rows, precision=jax.lax.Precision.HIGHEST
        )

    sums = jnp.zeros((shards, first_ids.size - 1, table.shape[1]))
    return jax.lax.fori_loop(0, -(-length // size), add, sums).sum(axis=0)
