import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from afm_jax.ops import metrics
from afm_jax.ops.metrics.threshold import recall_at_precision


def _rows(seed, size=2000, levels=17):
    """Logits with heavy ties, labels that depend on them, and weights with zeros."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-levels, levels, size) * (3.4 / levels)
    labels = (rng.random(size) < 1 / (1 + np.exp(-logits + 0.7))).astype(np.float32)
    weights = rng.gamma(2.0, size=size) * (rng.random(size) < 0.8)
    groups = rng.zipf(1.5, size).clip(max=300) * 7 - 7
    return logits, labels, weights, groups


def _counted_auc(scores, labels, weights):
    """The definition: every pair of a positive and a negative row."""
    won = total = 0.0
    for i in np.flatnonzero(labels == 1):
        for j in np.flatnonzero(labels == 0):
            pair = weights[i] * weights[j]
            total += pair
            won += pair * (
                float(scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
            )
    return won / total


def test_auc_by_hand():
    # Positives 3 and 1, negatives 2 and 1: 3 beats both, 1 loses to 2 and ties 1.
    scores, labels = np.array([3, 2, 1, 1]), np.array([1, 0, 1, 0])
    assert metrics.auc(scores, labels) == (2 + 0 + 0.5) / 4
    # Weights 2, 1, 1, 3: (2*1 + 2*3 + 1*3*0.5) / ((2 + 1) * (1 + 3)).
    assert metrics.auc(scores, labels, np.array([2, 1, 1, 3])) == 9.5 / 12


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [1, 17, 10**6])
def test_auc_agrees_with_scikit_learn(seed, levels):
    scores, labels, weights, _ = _rows(seed, levels=levels)
    for w in (None, weights):
        expected = sklearn_metrics.roc_auc_score(labels, scores, sample_weight=w)
        np.testing.assert_allclose(metrics.auc(scores, labels, w), expected, rtol=1e-12)


def test_auc_counts_pairs():
    scores, labels, weights, _ = _rows(4, size=150, levels=6)
    np.testing.assert_allclose(
        metrics.auc(scores, labels, weights),
        _counted_auc(scores, labels, weights),
        rtol=1e-12,
    )


def test_auc_depends_on_order_only():
    scores, labels, weights, _ = _rows(5)
    auc = metrics.auc(scores, labels, weights)
    assert metrics.auc(np.exp(scores) - 3, labels, weights) == auc
    np.testing.assert_allclose(
        metrics.auc(scores, 1 - labels, weights), 1 - auc, rtol=1e-12
    )
    np.testing.assert_allclose(metrics.auc(-scores, labels, weights), 1 - auc)
    shuffle = np.random.default_rng(0).permutation(scores.size)
    np.testing.assert_allclose(
        metrics.auc(scores[shuffle], labels[shuffle], weights[shuffle]), auc
    )


def test_a_weight_of_two_is_the_row_twice():
    scores, labels, _, groups = _rows(6, size=300)
    twice = np.random.default_rng(1).random(300) < 0.3
    weights = 1.0 + twice
    repeats = np.repeat(np.arange(300), 1 + twice)
    for metric in (metrics.auc, metrics.log_loss, metrics.rmse, metrics.calibration):
        np.testing.assert_allclose(
            metric(scores, labels, weights), metric(scores[repeats], labels[repeats])
        )
    np.testing.assert_allclose(
        metrics.gauc(scores, labels, groups, weights),
        metrics.gauc(scores[repeats], labels[repeats], groups[repeats]),
    )


@pytest.mark.parametrize("label", [0, 1])
def test_auc_of_one_class_is_none(label):
    scores = np.array([0.1, -2.0, 3.0])
    assert metrics.auc(scores, np.full(3, label)) is None
    assert metrics.gauc(scores, np.full(3, label), np.array([1, 1, 2])) is None
    # The other class has no weight.
    weights = np.array([1.0, 2.0, 0.0])
    assert metrics.auc(scores, np.array([label, label, 1 - label]), weights) is None


def test_no_rows_have_no_auc():
    none = np.zeros(0)
    assert metrics.auc(none, none) is None
    assert metrics.gauc(none, none, none) is None


@pytest.mark.parametrize("weighted", [False, True])
def test_gauc_is_the_mean_auc_of_mixed_groups_by_impressions(weighted):
    scores, labels, weights, groups = _rows(7)
    weights = weights if weighted else np.ones(scores.size)
    aucs, impressions, left_out = [], [], 0
    for group in np.unique(groups):
        rows = (groups == group) & (weights > 0)
        if len(np.unique(labels[rows])) < 2:
            left_out += 1
            continue
        aucs.append(
            sklearn_metrics.roc_auc_score(
                labels[rows], scores[rows], sample_weight=weights[rows]
            )
        )
        impressions.append(weights[rows].sum())
    assert len(aucs) > 10
    assert left_out > 10
    np.testing.assert_allclose(
        metrics.gauc(scores, labels, groups, weights if weighted else None),
        np.average(aucs, weights=impressions),
        rtol=1e-12,
    )


def test_gauc_by_hand():
    # Group 5 (3 rows): 2 beats 1, ties 2: 0.75. Group 9 (2 rows): 0. Group 4: one class.
    scores = np.array([2, 9, 1, 0, 2, 7])
    labels = np.array([1, 1, 0, 1, 0, 0])
    groups = np.array([5, 4, 5, 9, 5, 9])
    assert metrics.gauc(scores, labels, groups) == (3 * 0.75 + 2 * 0.0) / 5


def test_rows_of_no_group_do_not_count():
    scores, labels, weights, groups = _rows(8)
    apart = np.where(groups < 2, -1 - groups, groups)
    there = groups >= 2
    assert 0 < there.sum() < there.size
    assert metrics.gauc(scores, labels, apart, weights) == metrics.gauc(
        scores[there], labels[there], groups[there], weights[there]
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_gauc_is_over_the_groups_with_both_classes(weighted):
    _, labels, weights, groups = _rows(7)
    groups = np.where(groups % 5 == 0, -1 - groups, groups)
    weights = weights if weighted else None
    present = np.full(labels.size, True) if weights is None else weights > 0
    num_groups = num_rows = 0
    for group in np.unique(groups[groups >= 0]):
        rows = present & (groups == group)
        if len(np.unique(labels[rows])) == 2:
            num_groups, num_rows = num_groups + 1, num_rows + int(rows.sum())
    assert num_groups > 10
    found = metrics.gauc_coverage(labels, groups, weights)
    assert found == (num_groups, num_rows)


def test_gauc_of_no_group_is_over_no_row():
    assert metrics.gauc_coverage(np.array([0, 1]), np.array([-1, -1])) == (0, 0)
    assert metrics.gauc_coverage(np.zeros(0), np.zeros(0, int)) == (0, 0)


def test_gauc_ignores_what_shifts_a_whole_group():
    scores, labels, weights, groups = _rows(8)
    np.testing.assert_allclose(
        metrics.gauc(scores + 3.0 * groups, labels, groups, weights),
        metrics.gauc(scores, labels, groups, weights),
        rtol=1e-12,
    )


def test_gauc_of_one_group_is_auc():
    scores, labels, weights, _ = _rows(9)
    np.testing.assert_allclose(
        metrics.gauc(scores, labels, np.full(scores.size, 3), weights),
        metrics.auc(scores, labels, weights),
        rtol=1e-12,
    )


def test_log_loss_agrees_with_scikit_learn():
    logits, labels, weights, _ = _rows(10)
    for w in (None, weights):
        expected = sklearn_metrics.log_loss(
            labels, 1 / (1 + np.exp(-logits)), sample_weight=w
        )
        np.testing.assert_allclose(metrics.log_loss(logits, labels, w), expected)


def test_log_loss_of_huge_logits_is_their_size():
    logits, labels = np.array([800.0, -2000.0, 1000.0]), np.array([0, 1, 1])
    assert metrics.log_loss(logits, labels) == (800 + 2000 + 0) / 3
    assert metrics.log_loss(np.zeros(3), labels) == math.log(2)


def test_rmse_agrees_with_scikit_learn():
    predictions, _, weights, _ = _rows(11)
    targets = np.random.default_rng(2).normal(size=predictions.size)
    for w in (None, weights):
        expected = sklearn_metrics.root_mean_squared_error(
            targets, predictions, sample_weight=w
        )
        np.testing.assert_allclose(metrics.rmse(predictions, targets, w), expected)


def test_calibration_by_hand():
    probabilities, labels = np.array([0.5, 0.25, 0.75]), np.array([1, 0, 0])
    assert metrics.calibration(probabilities, labels) == 1.5
    # (1 * 0.5 + 2 * 0.25 + 4 * 0.75) / 1
    assert metrics.calibration(probabilities, labels, np.array([1, 2, 4])) == 4.0
    assert metrics.calibration(probabilities, np.zeros(3)) is None
    assert metrics.calibration(probabilities, labels, np.array([0, 2, 4])) is None


@pytest.mark.parametrize(
    "metric",
    [
        metrics.auc,
        metrics.log_loss,
        metrics.rmse,
        metrics.calibration,
        lambda scores, labels, weights=None: metrics.gauc(
            scores, labels, np.zeros(np.shape(scores)), weights
        ),
    ],
)
def test_bad_rows_are_refused(metric):
    labels = np.array([0, 1, 1, 0])
    with pytest.raises(ValueError, match="3 of 4 scores are NaN or infinite"):
        metric(np.array([np.nan, 0.5, np.inf, -np.inf]), labels)
    with pytest.raises(ValueError, match=r"found \(4, 1\), \(4,\) and \(4, 1\)"):
        metric(np.ones((4, 1)), labels)
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="expected finite weights >= 0"):
            metric(np.ones(4), labels, np.array([1, 1, 1, weight]))


@pytest.mark.parametrize("metric", [metrics.auc, recall_at_precision])
def test_labels_other_than_0_and_1_are_refused(metric):
    with pytest.raises(ValueError, match="2 of 4 labels are neither 0 nor 1"):
        metric(np.ones(4), np.array([-1, 1, 0.5, 0]))


@pytest.mark.parametrize("metric", [metrics.log_loss, metrics.calibration])
def test_labels_outside_of_0_to_1_are_no_probabilities(metric):
    with pytest.raises(ValueError, match=r"2 of 4 labels are not in \[0, 1\]"):
        metric(np.ones(4), np.array([-1, 1, 1.5, 0]))


def test_a_label_that_is_a_probability_is_that_share_of_rows_of_label_1():
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=50), rng.integers(0, 5, 50) / 4
    weights = rng.gamma(1.0, size=50)
    both = np.concatenate([np.ones(50), np.zeros(50)])
    shares = np.concatenate([weights * labels, weights * (1 - labels)])
    scores = 1 / (1 + np.exp(-logits))
    for metric, values in (metrics.log_loss, logits), (metrics.calibration, scores):
        np.testing.assert_allclose(
            metric(values, labels, weights), metric(np.tile(values, 2), both, shares)
        )


def test_mae_agrees_with_scikit_learn():
    predictions, _, weights, _ = _rows(11)
    targets = np.random.default_rng(2).normal(size=predictions.size)
    for w in (None, weights):
        expected = sklearn_metrics.mean_absolute_error(
            targets, predictions, sample_weight=w
        )
        np.testing.assert_allclose(metrics.mae(predictions, targets, w), expected)


def test_groups_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"groups have shape \(2,\), scores \(3,\)"):
        metrics.gauc(np.ones(3), np.array([0, 1, 1]), np.ones(2))


def test_a_mean_of_no_rows_is_refused():
    for metric in (metrics.log_loss, metrics.rmse):
        with pytest.raises(ValueError, match="no row of positive weight"):
            metric(np.ones(2), np.ones(2), np.zeros(2))
