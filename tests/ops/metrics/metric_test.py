"""What every entry of the table keeps; a new file of the folder is picked up by itself."""

import dataclasses

import numpy as np
import pytest

from afm_jax.ops import losses, metrics
from afm_jax.ops.metrics import METRICS, Predicted, discrimination, metric, threshold


def predicted(strength, *, weights=None, seed=0, num_rows=600):
    """Predictions of probabilities that are right if `strength` is 1."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.5, 2.0, num_rows)
    labels = (rng.random(num_rows) < losses.sigmoid(truth)).astype(np.float64)
    groups = rng.integers(0, 20, num_rows)
    logits = strength * truth + (1 - strength) * rng.normal(0.0, 2.0, num_rows)
    return Predicted(logits, labels, losses.sigmoid, weights=weights, groups=groups)


def test_every_metric_is_in_the_table_under_its_name():
    assert {"auc", "gauc", "log_loss", "rmse", "calibration"} <= set(METRICS)
    assert all(metric.name == name for name, metric in METRICS.items())
    assert {"auc": 1, "gauc": 1, "log_loss": -1, "rmse": -1}.items() <= (
        metrics.DIRECTIONS.items()
    )
    assert "calibration" not in metrics.DIRECTIONS


@pytest.mark.parametrize("name", metrics.DIRECTIONS)
def test_a_better_model_is_better_in_the_direction_of_the_metric(name):
    of_name = METRICS[name]
    good, bad = (of_name.measure(predicted(strength)) for strength in (1.0, 0.3))
    assert of_name.direction * (good - bad) > 0


@pytest.mark.parametrize("name", METRICS)
def test_a_row_of_weight_two_is_the_row_twice(name):
    """And so are the counts beside a metric of as many rows."""
    once = predicted(0.8)
    weights = np.random.default_rng(1).integers(1, 4, once.labels.size)
    columns = {
        name: np.repeat(getattr(once, name), weights)
        for name in ("logits", "labels", "groups")
    }
    twice = dataclasses.replace(once, **columns)
    measure = METRICS[name].measure
    weighted = dataclasses.replace(once, weights=weights.astype(np.float64))
    found = measure(weighted)
    assert found == pytest.approx(measure(twice), rel=1e-9)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.resampled])
def test_a_resampled_metric_is_the_metric_of_the_rows_drawn(name):
    of_name, runs = METRICS[name], [predicted(0.8), predicted(0.4)]
    runs[1] = dataclasses.replace(runs[1], labels=runs[0].labels)
    counts = np.random.default_rng(2).integers(0, 3, (5, runs[0].labels.size))
    measure = of_name.resampled(runs)
    expected = [
        [
            of_name.measure(dataclasses.replace(run, weights=count.astype(float)))
            for count in counts
        ]
        for run in runs
    ]
    np.testing.assert_allclose(measure(counts), expected, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", METRICS)
def test_rows_in_many_parts_have_the_metric_that_they_have_in_one(
    name, weighted, monkeypatch
):
    """And ranks that tie, in whole numbers: to the bit where no weight is summed."""
    weights = np.random.default_rng(3).integers(1, 4, 600) if weighted else None
    rows = predicted(0.8, weights=weights)
    rows = dataclasses.replace(rows, logits=np.round(rows.logits, 1).astype(np.float32))
    whole = METRICS[name].measure(rows)
    for module in metric, discrimination, threshold:
        monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    found = METRICS[name].measure(rows)
    ranks = name in ("auc", "gauc", "recall_at_precision")
    assert found == (whole if ranks else pytest.approx(whole, rel=1e-14))


@pytest.mark.parametrize("name", METRICS)
def test_weights_that_are_all_1_and_small_types_change_nothing(name):
    """To the bit, although rows without weights are ranked by counts."""
    rows = predicted(0.8)
    rows = dataclasses.replace(rows, logits=np.round(rows.logits, 1).astype(np.float32))
    whole = METRICS[name].measure(rows)
    small = dataclasses.replace(rows, labels=rows.labels.astype(np.uint8))
    assert METRICS[name].measure(small) == whole
    ones = dataclasses.replace(rows, weights=np.ones(600, np.float32))
    assert METRICS[name].measure(ones) == whole
    # Twos take the way of rows that are weighed, with the same numbers twice.
    twos = dataclasses.replace(rows, weights=np.full(600, 2.0))
    assert METRICS[name].measure(twos) == whole
