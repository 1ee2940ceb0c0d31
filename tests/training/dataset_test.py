"""What a run asks of its data before it trains."""

import numpy as np
import pytest

from afm_jax.data.loader import Loader
from afm_jax.errors import InputError
from afm_jax.features import Rows, Schema
from afm_jax.ops import losses
from afm_jax.training import dataset
from afm_jax.training.dataset import Dataset


def loader(labels, weights=None):
    count = len(labels)
    ids, dense = np.zeros((count, 1), np.int32), np.zeros((count, 0), np.float32)
    weights = None if weights is None else np.asarray(weights, np.float32)
    return Loader(Rows(ids, None, dense, np.asarray(labels, np.float32), weights), 2)


def data_of(label_kind="binary", **splits):
    return Dataset(Schema("toy", (), label_kind=label_kind), splits, None)


def test_the_best_constant_is_that_of_the_weighted_training_labels(monkeypatch):
    monkeypatch.setattr(dataset, "_BLOCK", 2)
    found = data_of(train=loader([0, 1, 0, 0, 1]), test=loader([1, 1]))
    assert found.best_constant(losses.make("sigmoid_cross_entropy")) == pytest.approx(
        np.log(2 / 3)
    )
    found = data_of(train=loader([0, 1, 0, 0, 1], [4, 1, 2, 1, 0.5]))
    odds = 1.5 / 7
    assert found.best_constant(losses.make("sigmoid_cross_entropy")) == pytest.approx(
        np.log(odds)
    )
    target = 2 * 1.5 / 8.5 - 1
    assert found.best_constant(losses.make("squared_error")) == pytest.approx(target)


@pytest.mark.parametrize("label", [0.5, -1, 3, np.nan])
@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "squared_error"])
def test_labels_other_than_0_and_1_are_refused(monkeypatch, label, split, loss):
    monkeypatch.setattr(dataset, "_BLOCK", 2)
    splits = {"train": loader([0, 1, 1, 0]), "validation": loader([0, 1, 1, 0])}
    data_of(**splits).check_labels(losses.make(loss))
    splits[split] = loader([0, 1, 1, label, label])
    told = f"Row 3 \\(from 0\\) of the {split} split has the label {label:g}; .*{loss}"
    with pytest.raises(InputError, match=told):
        data_of(**splits).check_labels(losses.make(loss))


ACCEPTED = {
    "binary": ("sigmoid_cross_entropy", "squared_error", "focal"),
    "probability": ("sigmoid_cross_entropy",),
    "real": ("regression",),
}


@pytest.mark.parametrize("kind", ACCEPTED)
@pytest.mark.parametrize("loss", losses.names())
def test_a_loss_takes_the_kinds_of_labels_that_it_is_for(kind, loss):
    data = data_of(kind, train=loader([0, 1, 1, 0]))
    if loss in ACCEPTED[kind]:
        data.check_labels(losses.make(loss))
        return
    told = f"the loss {loss} is for .*; choose a loss from {', '.join(ACCEPTED[kind])},"
    with pytest.raises(InputError, match=told):
        data.check_labels(losses.make(loss))


@pytest.mark.parametrize(("kind", "label"), [("probability", 1.5), ("real", np.inf)])
def test_labels_that_are_not_what_the_schema_says_are_refused(kind, label):
    data = data_of(kind, train=loader([0, 0.5, label]))
    with pytest.raises(InputError, match=r"Row 2 .*expected"):
        data.check_labels(losses.make(ACCEPTED[kind][0]))
