"""A store in memory, of the blocks that would be written to one on disk."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from afm_jax.data.store.checks import check_rows
from afm_jax.data.store.columns import columns
from afm_jax.data.store.reader import SPLITS, Store, require_rows
from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.data.store.writer import Block
from afm_jax.features import Rows, Schema
from afm_jax.label_kinds import narrowest_kind


def collect(
    schema: Schema,
    blocks: Iterable[Block],
    vocabularies: Vocabularies,
    former_counts: np.ndarray | None = None,
) -> Store:
    """The store of some blocks.

    Args:
        schema: how columns became features; row counts, the mean of the training
            labels if there are any, and the kind of the labels are filled in.
        blocks: the rows, those of a split in their order.
        vocabularies: the values that have ids of their own.
        former_counts: see `Store.former_counts`; there need be no training rows then.

    Raises:
        InputError: rows that do not agree with the schema, or no training rows.
    """
    parts: dict[str, list[Rows]] = {}
    unseen: dict[str, dict[int, list[np.ndarray]]] = {}
    lengths: dict[str, int] = {}
    kind = schema.label_kind
    for split, rows, others, _ in blocks:
        start = lengths.get(split, 0)
        lengths[split] = start + len(rows.labels)
        rows = _typed(rows, schema)
        check_rows(rows, schema, f"{split} rows {start} to {lengths[split]}")
        kind = narrowest_kind(rows.labels, least=kind)
        parts.setdefault(split, []).append(rows)
        for index, found in others.items():
            moved = unseen.setdefault(split, {}).setdefault(index, [])
            moved.append(found + np.array([start, 0]))
    splits = {
        name: Rows.concatenate(parts[name]) for name in SPLITS if lengths.get(name)
    }
    require_rows(
        schema.dataset, {name: lengths[name] for name in splits}, former_counts
    )
    label_mean = schema.label_mean
    if "train" in splits:
        train = splits["train"]
        mean = np.average(train.labels.astype(np.float64), weights=train.weights)
        label_mean = float(f"{mean:.12g}")
    store = Store(
        dataclasses.replace(
            schema,
            rows={name: lengths[name] for name in splits},
            label_mean=label_mean,
            label_kind=kind,
        ),
        splits,
        probabilities={},
        unseen={
            split: {index: np.concatenate(each) for index, each in found.items()}
            for split, found in unseen.items()
        },
        vocabularies=vocabularies,
        former_counts=former_counts,
    )
    return store._replace(stored_counts=store.counts)


def _typed(rows: Rows, schema: Schema) -> Rows:
    """The rows in the dtypes that they would be written in."""
    typed = {
        name: np.asarray(array, dtype)
        for name, (dtype, _) in columns(schema).items()
        if (array := getattr(rows, name)) is not None
    }
    return rows._replace(**typed)
