"""Evaluation over batches is the metric of all real rows at once."""

import logging

import jax
import numpy as np
import pytest

from afm_jax.errors import InputError
from afm_jax.features import Batch, Features
from afm_jax.ops import losses, metrics
from afm_jax.training import evaluation
from afm_jax.training.devices import DEVICE_MAPS, Devices

WEIGHT = np.array([0.7, -1.3, 0.4], np.float32)


def predict(batch):
    return batch.features.dense @ WEIGHT


def make_batches(sizes=(16, 16, 16, 16, 5), batch_size=16, seed=0):
    """Batches of `sizes` real rows; padding repeats them with weight 0."""
    rng = np.random.default_rng(seed)
    batches = []
    for size in sizes:
        rows = np.arange(batch_size) % size
        ids = np.stack([rng.integers(0, 2, size), 2 + rng.integers(0, 6, size)], 1)
        dense = rng.normal(size=(size, 3)).astype(np.float32)
        labels = rng.random(size) < 1 / (1 + np.exp(-2 * dense @ WEIGHT))
        features = Features(ids.astype(np.int32)[rows], None, dense[rows])
        weights = (np.arange(batch_size) < size).astype(np.float32)
        batches.append(Batch(features, labels.astype(np.float32)[rows], weights))
    return batches


def real_rows(batches):
    """Logits, labels and ids of the real rows."""
    columns = [(predict(b), b.labels, b.features.ids, b.weights) for b in batches]
    logits, labels, ids, weights = map(np.concatenate, zip(*columns, strict=True))
    return logits[weights > 0], labels[weights > 0], ids[weights > 0]


def groups_of(ids):
    """Of the ids 2 to 7 of the second field, the first two stand for no group."""
    return np.where(ids[:, 1] < 4, -1, ids[:, 1])


def test_evaluate_takes_every_real_row_once():
    batches = make_batches()
    logits, labels, ids = real_rows(batches)
    groups = groups_of(ids)
    result = evaluation.evaluate(predict, iter(batches), groups=groups)
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    assert list(result)[:4] == ["auc", "log_loss", "rmse", "calibration"]
    measured = {n: m for n, m in metrics.METRICS.items() if "binary" in m.label_kinds}
    assert list(result) == [
        *(name for name, metric in measured.items() if not metric.needs_groups),
        "rows",
        "gauc",
        "gauc_groups",
        "gauc_rows",
    ]
    coverage = result["gauc_groups"], result["gauc_rows"]
    assert coverage == metrics.gauc_coverage(labels, groups)
    assert result["rows"] == 4 * 16 + 5
    assert 0.5 < result["auc"] < 1
    assert result["auc"] == metrics.auc(logits, labels)
    assert result["gauc"] == metrics.gauc(logits, labels, groups_of(ids))
    np.testing.assert_allclose(result["log_loss"], metrics.log_loss(logits, labels))
    np.testing.assert_allclose(result["rmse"], metrics.rmse(probabilities, labels))
    np.testing.assert_allclose(
        result["calibration"], probabilities.mean() / labels.mean()
    )


def test_logits_come_in_the_order_of_the_rows():
    batches = make_batches()
    logits, labels, _ = real_rows(batches)
    found = evaluation.logits_of(predict, iter(batches))
    for column, expected in zip(found, (logits, labels, np.ones(69)), strict=True):
        np.testing.assert_array_equal(column, expected)
    assert len(evaluation.logits_of(predict, iter(batches))) == 3


def test_without_a_group_there_is_no_gauc():
    assert "gauc" not in evaluation.evaluate(predict, make_batches())


@pytest.mark.parametrize("device_map", DEVICE_MAPS)
def test_batches_on_four_devices_give_the_same_metrics(device_map):
    devices = Devices(8, device_map=device_map, devices=jax.devices()[:4])
    compiled = (jax.pmap if device_map == "pmap" else jax.jit)(
        lambda features: features.dense @ WEIGHT
    )
    groups = groups_of(real_rows(make_batches())[2])
    found = evaluation.evaluate(
        lambda batch: compiled(batch.features).reshape(-1),
        map(devices.place_batch, make_batches()),
        groups=groups,
    )
    expected = evaluation.evaluate(predict, make_batches(), groups=groups)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


def test_logits_are_fetched_two_batches_late():
    events = []

    class Logits:
        """Stands for an array on a device; fetching it is an event."""

        def __init__(self, number, values):
            self.number, self.values = number, values

        def __array__(self, dtype=None, copy=None):
            events.append(f"fetch {self.number}")
            return self.values

    numbers = iter(range(5))

    def record(batch):
        number = next(numbers)
        events.append(f"predict {number}")
        return Logits(number, predict(batch))

    evaluation.evaluate(record, make_batches())
    assert events == [
        "predict 0",
        "predict 1",
        "predict 2",
        "fetch 0",
        "predict 3",
        "fetch 1",
        "predict 4",
        "fetch 2",
        "fetch 3",
        "fetch 4",
    ]


def test_squared_error_takes_outputs_as_they_are():
    # Outputs 2, 0.5, -0.5 for targets 1, -1, -1: clipped 1, 0.5, -0.5, so that the
    # squared errors are 0, 2.25, 0.25.
    outputs, labels = np.array([2.0, 0.5, -0.5]), np.array([1, 0, 0])
    result = evaluation.metrics_of(outputs, labels, loss="squared_error")
    expected = {
        "auc": 1.0,
        "log_loss": None,
        "rmse": np.sqrt(2.5 / 3),
        "calibration": None,
        "rows": 3,
    }
    assert {name: result[name] for name in expected} == expected
    for name, metric in metrics.METRICS.items():
        if metric.needs_probabilities:
            assert result[name] is None
    batches = make_batches()
    assert evaluation.evaluate(
        predict, batches, loss="squared_error"
    ) == evaluation.metrics_of(*real_rows(batches)[:2], loss="squared_error")


def test_real_labels_are_measured_by_distances_alone():
    outputs, labels = np.array([2.0, 0.5, -3.0]), np.array([1.0, 0.5, -1.0])
    found = evaluation.metrics_of(
        outputs, labels, np.array([1, 1, 2]), np.zeros(3, int), loss="regression"
    )
    assert found == {"rmse": np.sqrt((1 + 2 * 4) / 4), "mae": 5 / 4, "rows": 3}


def test_labels_that_are_probabilities_have_no_ranking():
    batches = make_batches()
    batches = [each._replace(labels=each.labels * 0.5 + 0.25) for each in batches]
    found = evaluation.evaluate(predict, batches, groups=np.zeros(69, int))
    assert list(found) == ["log_loss", "rmse", "calibration", "rows"]
    logits, labels, _ = real_rows(batches)
    assert found["log_loss"] == metrics.log_loss(logits, labels)


def test_row_weights_enter_every_metric():
    logits, labels, ids = real_rows(make_batches())
    twice = np.random.default_rng(3).integers(1, 3, labels.size)
    weighted = evaluation.metrics_of(logits, labels, twice, ids[:, 1])
    repeated = evaluation.metrics_of(
        *(np.repeat(column, twice) for column in (logits, labels)),
        groups=np.repeat(ids[:, 1], twice),
    )
    assert weighted.pop("rows") == labels.size
    assert repeated.pop("rows") == twice.sum()
    assert weighted.pop("gauc_rows") < repeated.pop("gauc_rows")
    for name, value in weighted.items():
        np.testing.assert_allclose(value, repeated[name], err_msg=name)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc_and_a_warning(caplog, label):
    batches = [b._replace(labels=np.full(16, label)) for b in make_batches()]
    with caplog.at_level(logging.WARNING, logger="absl"):
        result = evaluation.evaluate(predict, batches, groups=np.zeros(69, int))
    assert "The 69 rows are all of one class: no AUC." in caplog.text
    assert result["auc"] is None
    assert result["gauc"] is None
    assert result["gauc_groups"] == result["gauc_rows"] == 0
    assert (result["calibration"] is None) == (label == 0)
    assert result["log_loss"] > 0


def test_best_possible_is_what_the_true_probabilities_reach():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=4000)
    probabilities = 1 / (1 + np.exp(-logits))
    labels = (rng.random(4000) < probabilities).astype(np.float32)
    best = evaluation.best_possible(probabilities, labels)
    assert list(best)[:3] == ["auc", "log_loss", "rmse"]
    known = evaluation.metrics_of(logits, labels)
    assert list(best) == [name for name in metrics.DIRECTIONS if name in known]
    for name, value in best.items():
        np.testing.assert_allclose(value, known[name], rtol=1e-9)
    for other in (0.8 * logits, 1.3 * logits, logits + 0.2, rng.permuted(logits)):
        worse = evaluation.metrics_of(other, labels)
        assert worse["log_loss"] > best["log_loss"]
        assert worse["rmse"] > best["rmse"]
    # Labels -1 and 1 are twice as far apart.
    regression = evaluation.best_possible(probabilities, labels, loss="squared_error")
    np.testing.assert_allclose(regression["rmse"], 2 * best["rmse"])
    assert regression["log_loss"] is None


def test_mistakes_are_named():
    batches = make_batches()
    with pytest.raises(ValueError, match="there is no batch to evaluate"):
        evaluation.evaluate(predict, [])
    with pytest.raises(ValueError, match="256 logits for 16 labels"):
        evaluation.evaluate(lambda b: predict(b)[:, None] - b.labels, batches)
    with pytest.raises(ValueError, match="69 of 69 logits are NaN or infinite"):
        evaluation.evaluate(lambda b: predict(b) * np.nan, batches)
    with pytest.raises(InputError, match="Unknown loss 'hinge'"):
        evaluation.evaluate(predict, batches, loss="hinge")
    for probability in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match=r"expected probabilities in \(0, 1\)"):
            evaluation.best_possible(np.array([0.5, probability]), np.array([0, 1]))


@pytest.mark.parametrize("loss", losses.names())
def test_every_loss_can_be_evaluated(loss):
    assert evaluation.evaluate(predict, make_batches(), loss=loss)["rmse"] > 0
