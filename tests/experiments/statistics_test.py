"""Intervals hold the truth as often as they say; corrections and AUCs are exact."""

import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from afm_jax.ops import losses, metrics
from afm_jax.training import evaluation
from experiments import statistics


def scored(rng, size, *, strength=1.0, levels=None):
    """Labels, and scores N(strength, 1) of positive and N(0, 1) of negative rows."""
    labels = (rng.random(size) < 0.4).astype(np.float32)
    scores = rng.normal(strength * labels, 1.0)
    return scores if levels is None else np.round(scores * levels) / levels, labels


def bootstrap(logits, labels, *, weights=None, loss="sigmoid_cross_entropy", **options):
    made = losses.make(loss)
    runs = [evaluation.predicted(z, labels, weights, loss=made) for z in logits]
    kind = made.label_kind(labels)
    tested = [n for n, each in metrics.METRICS.items() if kind in each.tested_on]
    return statistics.bootstrap(runs, tested, **options)


@pytest.mark.parametrize("levels", [None, 3, 1])
def test_weighted_auc_agrees_with_scikit_learn(levels):
    rng = np.random.default_rng(0)
    scores, labels = scored(rng, 500, levels=levels)
    weights = rng.gamma(1.0, size=(7, 500)) * (rng.random((7, 500)) < 0.8)
    found = metrics.weighted_auc(metrics.rank(scores, labels), weights)
    expected = [
        sklearn_metrics.roc_auc_score(labels, scores, sample_weight=w) for w in weights
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_weighted_auc_by_hand():
    # Positives 3 (weight 2) and 1 (1), negatives 2 (1) and 1 (3): 3 beats both,
    # 1 loses to 2 and ties 1.
    ranking = metrics.rank(np.array([3, 2, 1, 1]), np.array([1, 0, 1, 0]))
    found = metrics.weighted_auc(ranking, np.array([[2, 1, 1, 3], [1, 1, 1, 1]]))
    np.testing.assert_array_equal(found, [(2 * 4 + 1 * 1.5) / (3 * 4), 2.5 / 4])


def test_bootstrap_gives_the_metrics_of_the_rows_drawn(monkeypatch):
    rng = np.random.default_rng(1)
    (first, labels), second = scored(rng, 200, levels=4), rng.normal(size=200)
    monkeypatch.setattr(statistics, "_CHUNK", 3 * 200)  # several chunks, one ragged
    draws = bootstrap([first, second], labels, resamples=8, seed=5)
    auc, log_loss = draws["auc"], draws["log_loss"]
    counts = np.concatenate(list(statistics._counts(labels.astype(float), 8, 5)))
    assert counts.shape == (8, 200)
    assert (counts.sum(axis=1) == 200).all()
    assert len(np.unique(counts, axis=0)) == 8
    for run, logits in enumerate((first, second)):
        for draw, count in enumerate(counts):
            rows = np.repeat(np.arange(200), count)
            np.testing.assert_allclose(
                [auc[run, draw], log_loss[run, draw]],
                [
                    f(logits[rows], labels[rows])
                    for f in (metrics.auc, metrics.log_loss)
                ],
            )


@pytest.mark.parametrize("loss", ["sigmoid_cross_entropy", "regression"])
def test_bootstrap_gives_the_weighted_metrics_of_the_rows_drawn(loss):
    rng = np.random.default_rng(3)
    scores, labels = scored(rng, 200, levels=4)
    labels = labels if loss != "regression" else 3 * labels + rng.normal(size=200)
    weights = rng.gamma(1.0, size=200)
    draws = bootstrap([scores], labels, weights=weights, loss=loss, resamples=5, seed=5)
    counts = np.concatenate(list(statistics._counts(labels.astype(float), 5, 5)))
    assert set(draws) == (
        {"rmse", "mae"} if loss == "regression" else {"auc", "log_loss"}
    )
    for draw, count in enumerate(counts):
        rows = np.repeat(np.arange(200), count)
        expected = evaluation.metrics_of(
            scores[rows], labels[rows], weights[rows], loss=loss
        )
        for name, values in draws.items():
            np.testing.assert_allclose(values[0, draw], expected[name])


def test_bootstrap_draws_again_where_a_label_is_missing():
    labels = np.array([1.0, 0, 0, 0])
    draws = bootstrap([np.arange(4.0)], labels, resamples=50, seed=0)
    assert {"auc", "log_loss"} <= set(draws)
    for each in draws.values():
        assert each.shape == (1, 50)
        assert np.isfinite(each).all()
    with pytest.raises(ValueError, match="both labels"):
        bootstrap([np.arange(4.0)], np.ones(4), resamples=2, seed=0)


def compare_planted(trial, *, strengths, spread, seeds, rows=250):
    """Two models, `seeds` runs each; a run separates the labels by N(strength, spread)."""
    rng = np.random.default_rng(trial)
    labels = (rng.random(rows) < 0.4).astype(np.float32)
    shared = rng.normal(size=rows)  # some rows are hard for every run
    logits = [
        rng.normal(strength, spread) * labels
        + (shared + rng.normal(size=rows)) / math.sqrt(2)
        for strength in np.repeat(strengths, seeds)
    ]
    values = np.array([metrics.auc(scores, labels) for scores in logits])
    draws = bootstrap(logits, labels, resamples=300, seed=trial)["auc"]
    return statistics.difference(
        values[:seeds], values[seeds:], draws[:seeds], draws[seeds:], seed=trial
    )


@pytest.mark.parametrize(
    ("spread", "seeds"),
    [
        (0.0, 1),  # rows alone vary
        (0.0, 5),
        (0.1, 5),  # both
        (0.4, 5),  # mostly seeds
        (0.4, 3),
    ],
)
def test_intervals_hold_the_truth_and_models_alike_are_seldom_told_apart(spread, seeds):
    trials = 120
    found = [
        compare_planted(trial, strengths=(1.0, 1.0), spread=spread, seeds=seeds)
        for trial in range(trials)
    ]
    covered = sum(each.low <= 0 <= each.high for each in found) / trials
    alarms = sum(each.p < statistics.LEVEL for each in found) / trials
    # 95% and 5%, give or take two and a half standard errors of 120 trials.
    assert 0.90 <= covered < 1
    assert 0 < alarms <= 0.10


def test_a_difference_that_is_there_is_found_and_measured():
    # P(N(a, 1) > N(0, 1)) = (1 + erf(a / 2)) / 2.
    truth = (math.erf(2.0 / 2) - math.erf(1.0 / 2)) / 2
    found = [
        compare_planted(trial, strengths=(2.0, 1.0), spread=0.1, seeds=5)
        for trial in range(40)
    ]
    assert sum(each.low <= truth <= each.high for each in found) >= 35
    assert sum(each.low > 0 and each.p < statistics.LEVEL for each in found) >= 38
    assert np.mean([each.mean for each in found]) == pytest.approx(truth, abs=0.01)


def test_the_order_of_the_two_only_changes_the_sign():
    one = compare_planted(0, strengths=(1.2, 1.0), spread=0.0, seeds=1)
    rng = np.random.default_rng(3)
    ours, theirs, draws, their_draws = (
        rng.normal(size=size) for size in (4, 4, (4, 99), (4, 99))
    )
    forward = statistics.difference(ours, theirs, draws, their_draws, seed=0)
    assert forward == statistics.difference(ours, theirs, draws, their_draws, seed=0)
    assert forward != statistics.difference(ours, theirs, draws, their_draws, seed=1)
    assert one.low < one.mean < one.high
    rows = statistics.difference(
        ours[:1], theirs[:1], draws[:1], their_draws[:1], seed=0
    )
    back = statistics.difference(
        theirs[:1], ours[:1], their_draws[:1], draws[:1], seed=0
    )
    np.testing.assert_allclose(
        [rows.mean, rows.low, rows.high, rows.p],
        [-back.mean, -back.high, -back.low, back.p],
    )


def test_a_run_against_itself_differs_by_nothing():
    values, draws = np.array([0.7, 0.8]), np.random.default_rng(0).random((2, 50))
    found = statistics.difference(values, values, draws, draws, seed=0)
    assert found == statistics.Difference(0.0, 0.0, 0.0, 1.0)


def test_holm_by_hand():
    # Rising .005, .01, .03, .04 times 4, 3, 2, 1: .02, .03, .06, .04, the last no lower
    # than the one before it.
    found = statistics.holm([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]
    assert statistics.holm([0.2]) == [0.2]
    assert statistics.holm([]) == []


@pytest.mark.parametrize("models", [1, 3, 7])
def test_no_fewer_resamples_can_show_a_difference(models):
    least = statistics.least_resamples(models)
    for resamples, shown in ((least, True), (least - 2, False)):
        draws = np.full((1, resamples), 0.7)
        found = statistics.difference([0.7], [0.5], draws, draws - 0.2, seed=0)
        p = statistics.holm([found.p] + [1.0] * (models - 1))[0]
        assert (p < statistics.LEVEL) == shown
