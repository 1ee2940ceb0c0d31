"""What every entry of the table keeps; a new file of the folder is picked up by itself."""

import numpy as np
import pytest

from afm_jax.ops import losses, metrics
from afm_jax.ops.metrics import METRICS, Predicted


def predicted(strength, *, weights=None, seed=0, num_rows=600):
    """Predictions of probabilities that are right if `strength` is 1."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.5, 2.0, num_rows)
    labels = (rng.random(num_rows) < losses.sigmoid(truth)).astype(np.float64)
    groups = rng.integers(0, 20, num_rows)
    logits = strength * truth + (1 - strength) * rng.normal(0.0, 2.0, num_rows)
    return Predicted(logits, labels, losses.sigmoid(logits), labels, weights, groups)


def test_every_metric_is_in_the_table_under_its_name():
    assert {"auc", "gauc", "log_loss", "rmse", "calibration"} <= set(METRICS)
    assert all(metric.name == name for name, metric in METRICS.items())
    assert {"auc": 1, "gauc": 1, "log_loss": -1, "rmse": -1}.items() <= (
        metrics.DIRECTIONS.items()
    )
    assert "calibration" not in metrics.DIRECTIONS


@pytest.mark.parametrize("name", metrics.DIRECTIONS)
def test_a_better_model_is_better_in_the_direction_of_the_metric(name):
    metric = METRICS[name]
    good, bad = (metric.measure(predicted(strength)) for strength in (1.0, 0.3))
    assert metric.direction * (good - bad) > 0


@pytest.mark.parametrize("name", METRICS)
def test_a_row_of_weight_two_is_the_row_twice(name):
    """And so are the counts beside a metric of as many rows."""
    once = predicted(0.8)
    weights = np.random.default_rng(1).integers(1, 4, once.labels.size)
    twice = Predicted(
        *(np.repeat(column, weights) for column in once[:4]),
        None,
        np.repeat(once.groups, weights),
    )
    measure = METRICS[name].measure
    found = measure(once._replace(weights=weights.astype(np.float64)))
    assert found == pytest.approx(measure(twice), rel=1e-9)


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.resampled])
def test_a_resampled_metric_is_the_metric_of_the_rows_drawn(name):
    metric, runs = METRICS[name], [predicted(0.8), predicted(0.4)]
    runs[1] = runs[1]._replace(labels=runs[0].labels, targets=runs[0].labels)
    counts = np.random.default_rng(2).integers(0, 3, (5, runs[0].labels.size))
    measure = metric.resampled(runs)
    expected = [
        [metric.measure(run._replace(weights=count.astype(float))) for count in counts]
        for run in runs
    ]
    np.testing.assert_allclose(measure(counts), expected, rtol=1e-9)
