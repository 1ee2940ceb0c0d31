"""Row updates: a step that touches only the table rows of its batch.

A batch holds U distinct feature ids, far fewer than the tables have rows. Training on
the U gathered rows with renumbered ids and scattering them back makes the cost of a
step independent of the vocabulary, for any elementwise optimizer (`training.rowwise` tells)
and without the model knowing. SGD and Adagrad give exactly what they give on whole tables. Adam and AdamW
become their lazy forms: a row rests, momentum and decay included, until it occurs. The
row that fills unused slots (value 0) counts as occurring.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Array, Batch
from afm_jax.training.state import is_table

T = TypeVar("T")

_NO_ROW = np.iinfo(np.int32).max


def take_rows(tree: T, rows: jax.Array) -> T:
    """The same tree with only the given rows of every table.

    Args:
        tree: any tree with tables, see `state.is_table`.
        rows: int32 [U], distinct and rising; rows past the end read as zeros.

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

    def take(path, leaf):
        if not is_table(path):
            return leaf
        return leaf.at[rows].get(
            mode="fill", fill_value=0, unique_indices=True, indices_are_sorted=True
        )

    return jax.tree_util.tree_map_with_path(take, tree)


def put_rows(tree: T, small: T, rows: jax.Array) -> T:
    """The inverse of `take_rows`: `small`, with its rows back in the whole tables.

    Args:
        tree: the tree with whole tables.
        small: the tree that `take_rows` gave, updated.
        rows: int32 [U], as given to `take_rows`; rows past the end are dropped.
    """

    def put(path, leaf, new):
        if not is_table(path):
            return new
        return leaf.at[rows].set(
            new, mode="drop", unique_indices=True, indices_are_sorted=True
        )

    return jax.tree_util.tree_map_with_path(put, tree, small)


def outside(ids: Array, vocab_size: int) -> jax.Array:
    """Which ids are of no table row; bool, of the shape of `ids`."""
    ids = jnp.asarray(ids)
    return (ids < 0) | (ids >= vocab_size)


def fillers(rows: jax.Array) -> jax.Array:
    """Which of a batch's `rows`, int32 [U], only fill them up; bool [U]."""
    return rows >= _NO_ROW - rows.size


def with_rows(batch: Batch, vocab_size: int) -> Batch:
    """The batch with its distinct ids found on the device, unless it has them.

    One sort of all B x S ids: slow on a CPU, where `compact` is the better way.
    """
    if batch.rows is not None:
        return batch
    ids = batch.features.ids
    # Room for one id outside the tables, so that it is seen.
    size = min(ids.size, vocab_size + 1)
    rows, positions = jnp.unique(
        ids, size=size, return_inverse=True, fill_value=_NO_ROW
    )
    # Fillers must differ, since the scatter is told that its rows do.
    fillers = _NO_ROW - size + jnp.arange(size, dtype=jnp.int32)
    rows = jnp.where(rows == _NO_ROW, fillers, rows)
    features = batch.features._replace(ids=positions.reshape(ids.shape))
    return batch._replace(features=features, rows=rows)


def capacity(count: int) -> int:
    """The size to which `count` distinct ids are filled up: 4, 5, 6 or 7 times 2^n.

    Few sizes mean few compilations. The size depends on the batch alone, so that a
    resumed run computes what it would have computed.
    """
    unit = 1 << max(0, (count - 1).bit_length() - 3)
    return max(4, -(-count // unit)) * unit


def compact(batch: Batch) -> Batch:
    """The batch with its distinct ids found on the host.

    Args:
        batch: a batch of NumPy arrays, `rows` None.

    Returns:
        The batch with `rows` (int32 [U], U a `capacity`) and renumbered ids.
    """
    rows, positions = _distinct(np.asarray(batch.features.ids)[None])
    features = batch.features._replace(ids=positions[0])
    return batch._replace(features=features, rows=rows[0])


def compact_stack(batches: Batch) -> Batch:
    """`compact` of several batches at once.

    Args:
        batches: N batches, their arrays stacked to [N, B, ...].

    Returns:
        The batches with `rows` (int32 [N, U], U the largest `capacity` of them).
    """
    rows, positions = _distinct(np.asarray(batches.features.ids))
    features = batches.features._replace(ids=positions)
    return batches._replace(features=features, rows=rows)


def _distinct(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [N, U] of N batches' ids [N, B, S], and positions in them [N, B, S]."""
    found = [_unique_by_column(each) or _unique(each) for each in ids]
    size = capacity(max(distinct.size for distinct, _ in found))
    rows = np.tile(np.arange(_NO_ROW - size, _NO_ROW, dtype=np.int32), (len(ids), 1))
    for filled, (distinct, _) in zip(rows, found, strict=True):
        filled[: distinct.size] = distinct
    return rows, np.stack([positions for _, positions in found])


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
