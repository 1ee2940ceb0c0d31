"""The table rows of a batch: found, taken from the tables, and put back.

A batch holds U distinct feature ids, far fewer than the tables have rows. A row update
trains on those U table rows with renumbered ids and scatters them back. So the cost of a
step does not depend on the vocabulary, for any elementwise optimizer (`training.rowwise`
tries whether it is one), and the model does not notice. SGD and Adagrad give exactly what
they give on whole tables. Under Adam and others with momentum, a table row would move on
between its uses: `training.catch_up` makes up for it. The table row of the id in unused
slots (value 0) counts as used.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Array, Batch
from afm_jax.training.state import is_table

T = TypeVar("T")

_END = np.iinfo(np.int32).max
"""The ids below, as many as there are to fill up, are of no table row."""


def take(tree: T, ids: jax.Array) -> T:
    """The same tree with only the table rows of some ids.

    Args:
        tree: any tree with tables, see `state.is_table`.
        ids: int32 [U], distinct and rising; those past the end read as zeros.

    Raises:
        InputError: tables, or the optimizer state that mirrors them, differ in their
            number of rows.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    if len({leaf.shape[:1] for path, leaf in leaves if is_table(path)}) > 1:
        shapes = {
            jax.tree_util.keystr(path): leaf.shape
            for path, leaf in leaves
            if is_table(path)
        }
        raise InputError(
            f"row updates need the same number of rows in every table and in the optimizer state of each, found {shapes}; train with table_update='dense'"
        )

    def take_leaf(path, leaf):
        if not is_table(path):
            return leaf
        return leaf.at[ids].get(
            mode="fill", fill_value=0, unique_indices=True, indices_are_sorted=True
        )

    return jax.tree_util.tree_map_with_path(take_leaf, tree)


def put(tree: T, small: T, ids: jax.Array) -> T:
    """The inverse of `take`: `small`, with its table rows back in the whole tables.

    Args:
        tree: the tree with whole tables.
        small: the tree that `take` gave, updated.
        ids: int32 [U], as given to `take`; those past the end are dropped.
    """

    def put_leaf(path, leaf, new):
        if not is_table(path):
            return new
        return leaf.at[ids].set(
            new, mode="drop", unique_indices=True, indices_are_sorted=True
        )

    return jax.tree_util.tree_map_with_path(put_leaf, tree, small)


def outside(ids: Array, vocab_size: int) -> jax.Array:
    """Which ids are of no table row; bool, of the shape of `ids`."""
    ids = jnp.asarray(ids)
    return (ids < 0) | (ids >= vocab_size)


def is_padding(unique_ids: jax.Array) -> jax.Array:
    """Which of a batch's `unique_ids`, int32 [U], only fill them up; bool [U]."""
    return unique_ids >= _END - unique_ids.size


def with_unique_ids(batch: Batch, vocab_size: int) -> Batch:
    """The batch with its distinct ids found on the device, unless it has them.

    One sort of all B x S ids: slow on a CPU, where `deduplicate` is the better way.
    """
    if batch.unique_ids is not None:
        return batch
    ids = batch.features.ids
    # Room for one id outside the tables, so that it is seen.
    size = min(ids.size, vocab_size + 1)
    unique_ids, positions = jnp.unique(
        ids, size=size, return_inverse=True, fill_value=_END
    )
    # Padding must differ: the scatter relies on distinct ids.
    padding = _END - size + jnp.arange(size, dtype=jnp.int32)
    unique_ids = jnp.where(unique_ids == _END, padding, unique_ids)
    features = batch.features._replace(ids=positions.reshape(ids.shape))
    return batch._replace(features=features, unique_ids=unique_ids)


def padded_size(count: int) -> int:
    """The size to which `count` distinct ids are filled up: 4, 5, 6 or 7 times 2^n.

    Few sizes mean few compilations. The size depends on the batch alone, so that a
    resumed run computes what it would have computed.
    """
    unit = 1 << max(0, (count - 1).bit_length() - 3)
    return max(4, -(-count // unit)) * unit


def deduplicate(batch: Batch) -> Batch:
    """The batch with its distinct ids found on the host.

    Args:
        batch: a batch of NumPy arrays, `unique_ids` None.

    Returns:
        The batch with `unique_ids` (int32 [U], U a `padded_size`) and renumbered ids.
    """
    unique_ids, positions = _distinct(np.asarray(batch.features.ids)[None])
    features = batch.features._replace(ids=positions[0])
    return batch._replace(features=features, unique_ids=unique_ids[0])


def deduplicate_stack(batches: Batch) -> Batch:
    """`deduplicate` for several batches at once.

    Args:
        batches: N batches, their arrays stacked to [N, B, ...].

    Returns:
        The batches with `unique_ids` (int32 [N, U], U the largest `padded_size` of
        them) and renumbered ids.
    """
    unique_ids, positions = _distinct(np.asarray(batches.features.ids))
    features = batches.features._replace(ids=positions)
    return batches._replace(features=features, unique_ids=unique_ids)


def _distinct(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unique ids [N, U] of N batches' ids [N, B, S], and positions in them [N, B, S]."""
    found = [_unique_by_column(each) or _unique(each) for each in ids]
    size = padded_size(max(distinct.size for distinct, _ in found))
    padding = np.arange(_END - size, _END, dtype=np.int32)
    unique_ids = np.tile(padding, (len(ids), 1))
    for filled, (distinct, _) in zip(unique_ids, found, strict=True):
        filled[: distinct.size] = distinct
    return unique_ids, np.stack([positions for _, positions in found])


def _unique_by_column(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """As `_unique` for ids whose columns hold rising ranges, else None.

    So they are if every slot is a field. Then sorting the columns, numbers half as wide,
    sorts them all.
    """
    num_rows, num_columns = ids.shape
    columns = np.ascontiguousarray(ids.T)
    bits = max(1, (num_rows - 1).bit_length())
    low = columns.min(axis=1, keepdims=True)
    above = (columns - low).view(np.uint32)  # right, whatever wraps around
    wide = np.uint32 if int(above.max()) < 1 << (32 - bits) else np.uint64
    keys = above.astype(wide, copy=False) << wide(bits)
    keys |= np.arange(num_rows, dtype=wide)
    keys.sort(axis=1)
    # Of the type of an index: NumPy is twice as slow with others.
    places = (keys & wide((1 << bits) - 1)).astype(np.intp)
    places *= num_columns
    places += np.arange(num_columns)[:, None]
    found = (keys >> wide(bits)).astype(np.uint32, copy=False).view(np.int32)
    found += low
    if (found[1:, 0] <= found[:-1, -1]).any():
        return None
    found = found.reshape(-1)
    first = _differs_from_last(found)
    positions = np.empty(ids.size, np.int32)
    positions[places.reshape(-1)] = np.cumsum(first, dtype=np.int32) - 1
    return found[np.flatnonzero(first)], positions.reshape(ids.shape)


def _unique(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ids in rising order, and the position of each id among them.

    `np.unique` with its inverse, in half its time: one sort of numbers that hold an id
    and its place, where an indirect sort would compare through the places.
    """
    keys = (ids.reshape(-1).astype(np.int64) << 32) | np.arange(ids.size)
    keys.sort()
    places, found = keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32)
    first = _differs_from_last(found)
    positions = np.empty(ids.size, np.int32)
    positions[places] = np.cumsum(first, dtype=np.int32) - 1
    return found[np.flatnonzero(first)], positions.reshape(ids.shape)


def _differs_from_last(values: np.ndarray) -> np.ndarray:
    """Of sorted values [n], which are the first of their kind; bool [n]."""
    first = np.empty(values.size, bool)
    first[:1] = True
    np.not_equal(values[1:], values[:-1], out=first[1:])
    return first
