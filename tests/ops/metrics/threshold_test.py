"""Recall at a precision is that of the best threshold."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from afm_jax.ops.metrics.threshold import recall_at_precision
from afm_jax.training import evaluation


def test_by_hand():
    # Above 3 both rows are positive, above 1 three of five.
    scores = np.array([5.0, 3.0, 1.0, 1.0, 1.0, 0.0])
    labels = np.array([1, 1, 1, 0, 0, 1])
    assert recall_at_precision(scores, labels) == 0.5
    assert recall_at_precision(scores, labels, precision=0.6) == 1.0
    assert recall_at_precision(-scores, labels, precision=1.0) == 0.25
    assert recall_at_precision(scores, 1 - labels) == 0.0
    assert recall_at_precision(scores, np.zeros(6)) is None


@pytest.mark.parametrize("levels", [None, 3, 1])
@pytest.mark.parametrize("precision", [0.3, 0.6, 0.9])
def test_it_agrees_with_scikit_learn(levels, precision):
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.3).astype(np.float32)
    scores = rng.normal(1.5 * labels, 1.0)
    scores = scores if levels is None else np.round(scores * levels) / levels
    weights = rng.gamma(1.0, size=400) * (rng.random(400) < 0.8)
    precisions, recalls, _ = sklearn_metrics.precision_recall_curve(
        labels, scores, sample_weight=weights
    )
    # The last point is no threshold's: precision 1 where nothing is found.
    expected = max(recalls[:-1][precisions[:-1] >= precision], default=0.0)
    found = recall_at_precision(scores, labels, weights, precision=precision)
    assert found == pytest.approx(expected, rel=1e-9)


def test_an_evaluation_measures_it():
    rng = np.random.default_rng(1)
    labels = (rng.random(300) < 0.5).astype(np.float32)
    logits = rng.normal(3 * labels, 1.0)
    found = evaluation.metrics_of(logits, labels)["recall_at_precision"]
    assert 0.5 < found == recall_at_precision(logits, labels) < 1
