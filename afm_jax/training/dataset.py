"""What a run is trained and evaluated on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.label_kinds import LABEL_KINDS, holds
from afm_jax.ops import losses
from afm_jax.ops.losses import Loss
from afm_jax.training.feed import Batches

_BLOCK = 1 << 20
"""Rows whose labels are looked at in one go."""


class Dataset(NamedTuple):
    """The data of a run.

    Attributes:
        schema: how columns became features.
        splits: 'train' (shuffled), and 'validation' and 'test' where there are any, in
            an order that does not change.
        counts: integer [vocab_size], how many slots of the training rows hold each id,
            for the table rows that none holds (see `training.untrained`). None leaves
            these table rows at their random start.
        groups: for some splits, integer [N], the group of each row in the order of the
            split, within which GAUC ranks; a row of a negative one is in none.
    """

    schema: Schema
    splits: Mapping[str, Batches]
    counts: np.ndarray | None
    groups: Mapping[str, np.ndarray] = MappingProxyType({})

    def check_labels(self, loss: Loss) -> None:
        """Raises InputError as `check_labels`, for every split."""
        for name, batches in self.splits.items():
            labels = np.asarray(batches.all_rows().labels)
            check_labels(labels, f"the {name} split", schema=self.schema, loss=loss)

    def best_constant(self, loss: Loss) -> float:
        """The logit that fits the training labels best without their features."""
        rows = self.splits["train"].all_rows()
        total = positive = 0.0
        for start in range(0, len(rows.labels), _BLOCK):
            part = slice(start, start + _BLOCK)
            weights = np.asarray(rows.weights[part], np.float64)
            total += float(weights.sum())
            positive += float(weights @ np.asarray(rows.labels[part], np.float64))
        return loss.best_constant(positive / total, len(rows.labels))


def check_labels(
    labels: np.ndarray, where: str, *, schema: Schema, loss: Loss, first_row: int = 0
) -> None:
    """Raises InputError if labels are not what the schema says, or none for the loss.

    Args:
        labels: real [N].
        where: the split or the file that has them, for the message.
        schema: of the data.
        loss: the loss.
        first_row: the number of the first row there, for the message.
    """
    kind = schema.label_kind
    if kind not in loss.label_kinds:
        fitting = [each for each in losses.names() if kind in _kinds(each)]
        raise InputError(
            f"The labels of {schema.dataset} are {LABEL_KINDS[kind]}, and the loss {loss.name} is for labels that are {' or '.join(LABEL_KINDS[each] for each in loss.label_kinds)}; choose a loss from {', '.join(fitting)}, or prepare the data with other labels."
        )
    for start in range(0, len(labels), _BLOCK):
        part = labels[start : start + _BLOCK]
        wrong = np.flatnonzero(~holds(kind, part))
        if wrong.size:
            at = int(wrong[0])
            raise InputError(
                f"Row {first_row + start + at} (from 0) of {where} has the label {part[at]:g}; expected {LABEL_KINDS[kind]} for the loss {loss.name}: prepare the data with such labels."
            )


def _kinds(name: str) -> tuple[str, ...]:
    return losses.make(name).label_kinds
