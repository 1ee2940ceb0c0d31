"""Planted rows as a store in memory, encoded as a real source would be."""

import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from afm_jax.data.store.reader import Rows, Store
from afm_jax.data.synthetic.planted import NUM_DENSE, VOCAB_SIZES, RawRows, draw, plant
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, DenseColumn, Field, Schema

ROWS = {"train": 200_000, "validation": 25_000, "test": 25_000}
MIN_COUNT = 10

_FIRST = 2  # the first id of a field that stands for a value of its own


def make(
    seed: int = 0,
    *,
    rows: Mapping[str, int] = ROWS,
    min_count: int = MIN_COUNT,
) -> Store:
    """Draws a data set from the model that `plant(seed)` returns.

    Vocabularies and scales are fitted on the training split: a value that occurs there
    fewer than `min_count` times becomes UNSEEN. Numbers are not clipped, so that runs of
    version 0.1 go on and results compare with theirs. Fields and columns have the names of
    Criteo's, and the rows are those of `write_criteo_tsv` with the same seed and split.

    Args:
        seed: of the model and of the rows.
        rows: number of rows of each split; 'train' is needed.
        min_count: see above.

    Returns:
        The store, with the true probabilities.
    """
    planted = plant(seed)
    raw = {
        split: _joined(draw(planted, count, seed, split))
        for split, count in rows.items()
    }
    fields, lookups = _fit_fields(raw, min_count)
    columns = _fit_dense(raw["train"].numbers)
    schema = Schema(
        dataset="synthetic",
        fields=fields,
        dense=columns,
        label="drawn with the probability that the planted model gives",
        rows=dict(rows),
        options={"seed": seed, "min_count": min_count},
        label_mean=float(f"{raw['train'].labels.mean():.12g}"),
    )
    return Store(
        schema=schema,
        splits={
            split: _encode(part, fields, lookups, columns)
            for split, part in raw.items()
        },
        probabilities={split: part.probabilities for split, part in raw.items()},
        unseen={split: _unseen(part, fields, lookups) for split, part in raw.items()},
    )


def value_names(field: int) -> np.ndarray:
    """bytes [1 + values], eight hexadecimal digits for each value, empty for missing."""
    values = np.arange(VOCAB_SIZES[field] + 1, dtype=np.uint64)
    # An odd multiplier modulo 2**32: different values get different names.
    mixed = (values + np.uint64(field << 24)) * np.uint64(0x9E3779B1)
    names = np.char.mod(b"%08x", mixed & np.uint64(0xFFFFFFFF))
    names[0] = b""
    return names


def _joined(chunks: Iterable[RawRows]) -> RawRows:
    return RawRows(
        *(np.concatenate(columns, axis=-1) for columns in zip(*chunks, strict=True))
    )


def _fit_fields(
    raw: Mapping[str, RawRows], min_count: int
) -> tuple[tuple[Field, ...], list[np.ndarray]]:
    """The fields, and for each the number of each value, int64 [1 + values].

    Numbers are counted within the field. Those below its vocab_size are of ids; the rest
    are of values that have none, in the order of their names.
    """
    fields, lookups, offset = [], [], 0
    for index, size in enumerate(VOCAB_SIZES):
        names = value_names(index)
        counts, everywhere = (
            np.sum(
                [
                    np.bincount(raw[split].categories[index], minlength=size + 1)
                    for split in splits
                ],
                axis=0,
            )
            for splits in (("train",), raw)
        )
        counts[0] = everywhere[0] = 0
        order = np.lexsort((names, -counts))  # by falling count, then by name
        kept = order[: np.count_nonzero(counts >= min_count)]
        kept = kept[kept > 0]
        lookup = np.full(size + 1, UNSEEN, np.int64)
        lookup[0] = MISSING
        lookup[kept] = _FIRST + np.arange(len(kept))
        others = np.flatnonzero((everywhere > 0) & (lookup == UNSEEN))
        others = others[np.argsort(names[others])]
        lookup[others] = _FIRST + len(kept) + np.arange(len(others))
        lookups.append(lookup)
        fields.append(
            Field(
                name=f"C{index + 1}",
                kind="categorical",
                vocab_size=_FIRST + len(kept),
                offset=offset,
                vocabulary_crc32=zlib.crc32(
                    b"".join(bytes(name) + b"\0" for name in names[kept])
                ),
            )
        )
        offset += fields[-1].vocab_size
    return tuple(fields), lookups


def _fit_dense(numbers: np.ndarray) -> tuple[DenseColumn, ...]:
    columns = []
    for index in range(NUM_DENSE):
        logs = np.log1p(numbers[index][numbers[index] >= 0])
        if not logs.size:
            raise InputError(
                f"--rows: no training row has a number in I{index + 1}; draw more."
            )
        columns.append(
            DenseColumn(
                f"I{index + 1}",
                "log1p",
                mean=float(logs.mean()),
                std=float(logs.std()) or 1.0,
            )
        )
    return tuple(columns)


def _encode(
    raw: RawRows,
    fields: tuple[Field, ...],
    lookups: list[np.ndarray],
    columns: tuple[DenseColumn, ...],
) -> Rows:
    num_rows = len(raw.labels)
    ids = np.empty((num_rows, len(lookups)), np.int32)
    for index, (field, lookup) in enumerate(zip(fields, lookups, strict=True)):
        known = np.where(lookup < field.vocab_size, lookup, UNSEEN)
        ids[:, index] = (field.offset + known)[raw.categories[index]]
    dense = np.empty((num_rows, len(columns)), np.float32)
    for index, column in enumerate(columns):
        numbers = raw.numbers[index]
        z = (np.log1p(np.maximum(numbers, 0)) - column.mean) / column.std
        dense[:, index] = np.where(numbers < 0, 0.0, z)
    return Rows(ids, None, dense, raw.labels.astype(np.float32))


def _unseen(
    raw: RawRows, fields: tuple[Field, ...], lookups: list[np.ndarray]
) -> dict[int, np.ndarray]:
    """See `store.reader.UnseenValues`; fields without such values are left out."""
    found = {}
    for index, (field, lookup) in enumerate(zip(fields, lookups, strict=True)):
        numbers = lookup[raw.categories[index]]
        rows = np.flatnonzero(numbers >= field.vocab_size)
        if len(rows):
            found[index] = np.stack([rows, numbers[rows]], axis=1)
    return found
