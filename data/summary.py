"""What a prepared store holds, in log lines, with a warning of what cannot be learned."""

import logging
from collections.abc import Iterator, Mapping

import numpy as np

from afm_jax.data.store.reader import Store
from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.features import MISSING, UNSEEN, Field
from experiments.cli import words

_LARGEST = 5
_NEARLY_ALL = 0.9
_ROUNDING = 2e-6  # of shares

_log = logging.getLogger(__name__)


def tell(store: Store) -> None:
    """Logs rows and positives, the vocabularies, and warnings."""
    schema = store.schema
    for split, rows in store.splits.items():
        _log.info("%s: %s.", split.capitalize(), words.labels(rows.labels))
    largest = sorted(schema.fields, key=lambda field: -field.vocab_size)[:_LARGEST]
    _log.info(
        "%s, %s and %s. Most ids: %s.",
        words.count(len(schema.fields), "field"),
        words.count(schema.vocab_size, "feature id"),
        words.count(len(schema.dense), "dense column"),
        ", ".join(f"{field.name} {field.vocab_size:,}" for field in largest),
    )
    for warning in warnings(store):
        _log.warning(warning)


def positives(store: Store) -> dict[str, int]:
    """How many rows of each split have a label that is not 0."""
    return {
        split: int(np.count_nonzero(rows.labels))
        for split, rows in store.splits.items()
    }


def warnings(store: Store) -> Iterator[str]:
    """A line for each split of one class, and for each field of which little is learned."""
    for split, rows in store.splits.items():
        if rows.labels.min() == rows.labels.max():
            yield f"Every {split} row has the label {rows.labels[0]:g}; a model needs rows of both classes."
    if "train" not in store.splits:
        return
    counts = store.counts
    for field in store.schema.fields:
        found = counts[field.offset : field.offset + field.vocab_size]
        warning = _of_field(field, found)
        if warning:
            yield warning


def strangers(
    unseen: Mapping[str, float],
    missing: Mapping[str, float],
    vocabularies: Vocabularies,
) -> Iterator[str]:
    """A line for each field none of whose values are of its vocabulary.

    Args:
        unseen: the share of values that are not, by field.
        missing: the share of missing values, likewise.
        vocabularies: of the training rows.
    """
    for name, share in unseen.items():
        if share + missing.get(name, 0.0) > 1 - _ROUNDING:
            table = vocabularies.tables().get(name)
            if table is not None and len(table.values):
                yield f"No value of {name} is one that training had, such as {table.values[0]!r}. Is the column written in another way?"


def _of_field(field: Field, counts: np.ndarray) -> str | None:
    """What is wrong with a field, by how often the training rows have each of its ids."""
    if np.count_nonzero(counts) == 1:
        what = {MISSING: "no value", UNSEEN: "a rare value"}
        told = what.get(int(np.flatnonzero(counts)[0]), "the same value")
        return f"{field.name} has {told} in every training row, so that nothing is learned from it; leave it out."
    total = counts.sum()
    if counts[UNSEEN] >= _NEARLY_ALL * total:
        return f"{counts[UNSEEN] / total:.0%} of the training values of {field.name} are rarer than --min_count; leave it out, or lower --min_count."
    values = np.count_nonzero(counts[UNSEEN + 1 :])
    if values >= _NEARLY_ALL * total:
        return f"{values:,} of the {total:,} training values of {field.name} differ: it looks like an id of the rows, from which nothing is learned; leave it out, or raise --min_count."
    return None
