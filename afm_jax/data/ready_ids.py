"""Rows whose ids are made already as a store in memory."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from afm_jax.data import frame_options
from afm_jax.data.store import memory, writer
from afm_jax.data.store.reader import SPLITS, Store
from afm_jax.data.store.vocabularies import NO_VOCABULARIES
from afm_jax.errors import InputError, check_one_of, check_type, shown, whole_number
from afm_jax.features import DenseColumn, Field, Rows, Schema

_LARGEST = 2**31 - 1  # Ids are int32.


def store_of_ids(
    splits: Mapping[str, Rows],
    *,
    vocab_sizes: Sequence[int],
    names: Sequence[str] | None = None,
    dense_names: Sequence[str] | None = None,
) -> Store:
    """A store of rows whose ids are made already.

    Args:
        splits: 'train', and perhaps 'validation' and 'test'; `Rows.ids` are int [N, F],
            counted from 0 in each field. Id 0 is for missing and 1 for unseen values: where
            no training row has them, training gives them the mean of their field.
        vocab_sizes: the number of ids of each field, 0 and 1 included.
        names: of the fields.
        dense_names: of the columns of `Rows.dense`.

    Raises:
        InputError: no training rows, or rows that do not fit the sizes.
    """
    check_type("splits", splits, Mapping, "a mapping of names of splits to Rows")
    if getattr(vocab_sizes, "ndim", 1) != 1 or not isinstance(vocab_sizes, Iterable):
        raise InputError(
            f"vocab_sizes must be whole numbers, one a field, found {shown(vocab_sizes)}."
        )
    sizes = [
        whole_number("a size of vocab_sizes", size, least=1, most=_LARGEST)
        for size in vocab_sizes
    ]
    offsets = np.cumsum([0, *sizes])
    found = _names("names", names, "field", len(sizes))
    fields = tuple(
        Field(name, "categorical", size, int(offset))
        for name, size, offset in zip(found, sizes, offsets[:-1], strict=True)
    )
    arrays = {split: _arrays(split, rows) for split, rows in splits.items()}
    width = max((rows.dense.shape[1] for rows in arrays.values()), default=0)
    dense = tuple(
        DenseColumn(name, "none")
        for name in _names("dense_names", dense_names, "dense", width)
    )
    blocks = []
    for split, rows in arrays.items():
        ids = rows.ids
        if ids.shape[1] != len(sizes):
            raise InputError(
                f"{split}: ids of shape {list(ids.shape)}, expected [rows, {len(sizes)}], a column for each of vocab_sizes."
            )
        outside = (ids < 0) | (ids >= sizes)
        if outside.any():
            row, slot = np.argwhere(outside)[0]
            raise InputError(
                f"{split} row {row} (from 0): id {ids[row, slot]} of field {found[slot]!r} is outside [0, {sizes[slot]})."
            )
        blocks.append(
            writer.Block(
                split, rows._replace(ids=(ids + offsets[:-1]).astype(np.int32))
            )
        )
    return memory.collect(
        Schema("ids", fields, dense, "label is 1"), blocks, NO_VOCABULARIES
    )


def _names(
    argument: str, names: Sequence[str] | None, what: str, count: int
) -> tuple[str, ...]:
    """The given names, or 'what_0' and so on."""
    if names is None:
        return tuple(f"{what}_{index}" for index in range(count))
    found = frame_options.texts(argument, names)
    if len(found) != count or len(set(found)) < count:
        raise InputError(
            f"{argument} must be {count} different names, found {shown(names)}."
        )
    return found


def _arrays(split: str, rows: Rows) -> Rows:
    """The rows as arrays of the types and numbers of axes that rows have."""
    check_one_of("a split", split, SPLITS)
    check_type(f"the {split} split", rows, Rows, "Rows")
    found = {}
    for name, array in rows._asdict().items():
        if array is None and name in ("values", "weights", "numbers"):
            continue
        axes = 1 if name in ("labels", "weights", "numbers") else 2
        kinds = "iu" if name in ("ids", "numbers") else "biuf"
        array = np.asarray(array)
        if array.dtype.kind not in kinds or array.ndim != axes:
            raise InputError(
                f"{split}: {name} must be numbers of {axes} axes, found {array.dtype} {list(array.shape)}."
            )
        found[name] = array
    lengths = {name: len(array) for name, array in found.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{split}: rows of different lengths: {told}.")
    return rows._replace(**found)
