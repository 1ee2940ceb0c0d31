"""What is said of a prepared store."""

import logging

import numpy as np
import pytest

from afm_jax.data.store.reader import Store
from afm_jax.features import Field, Rows, Schema
from data import summary


def store_of(columns, labels):
    """A store whose training rows have these ids, counted from 0, in each field."""
    ids = np.stack([np.asarray(column) for column in columns.values()], axis=1)
    sizes = [max(5, column.max() + 1) for column in ids.T]
    offsets = np.cumsum([0, *sizes[:-1]])
    fields = tuple(
        Field(name, "categorical", int(size), int(offset))
        for name, size, offset in zip(columns, sizes, offsets, strict=True)
    )
    rows = Rows(
        (ids + offsets).astype(np.int32),
        None,
        np.zeros((len(ids), 0), np.float32),
        np.asarray(labels, np.float32),
    )
    schema = Schema("small", fields, (), rows={"train": len(ids)})
    return Store(schema, {"train": rows}, {})


LABELS = [0, 1] * 10


def test_rows_positives_and_the_largest_vocabularies_are_told(caplog):
    columns = {"user": np.arange(20) % 7, "item": np.arange(20) % 3 + 2}
    with caplog.at_level(logging.INFO, "data"):
        summary.tell(store_of(columns, [1, 0, 0, 0] * 5))
    assert [record.getMessage() for record in caplog.records] == [
        "Train: 20 rows, 5 positive (25%).",
        "2 fields, 12 feature ids and 0 dense columns. Most ids: user 7, item 5.",
    ]


@pytest.mark.parametrize(
    ("column", "labels", "words"),
    [
        (np.arange(20) % 7, [0] * 20, "Every train row has the label 0"),
        (np.full(20, 3), LABELS, "x has the same value in every training row"),
        (np.full(20, 1), LABELS, "x has a rare value in every training row"),
        (np.arange(20) + 2, LABELS, "20 of the 20 training values of x differ"),
        ([1] * 19 + [2], LABELS, "95% of the training values of x are rarer"),
    ],
)
def test_what_cannot_be_learned_from_is_a_warning(column, labels, words):
    (told,) = summary.warnings(store_of({"x": column}, labels))
    assert told.startswith(words)


def test_fields_with_values_that_recur_are_no_reason_to_warn():
    columns = {"rare": np.arange(20) % 4 + 1, "missing": np.arange(20) % 3}
    assert not list(summary.warnings(store_of(columns, LABELS)))
