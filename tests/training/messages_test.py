"""What a run says of its epochs."""

import math

import pytest

from afm_jax.training import messages
from afm_jax.training.progress import Options, Progress

METRICS = {"auc": 0.75, "log_loss": 0.5, "rmse": 0.25, "calibration": 1.5, "rows": 9}


def test_metrics_are_called_by_their_titles_and_stand_beside_the_best_possible():
    assert messages.in_words(METRICS | {"rmse": None}) == (
        "AUC 0.7500, log loss 0.5000, calibration 1.5000"
    )
    possible = {"auc": 0.8, "log_loss": 0.4}
    assert messages.in_words(METRICS, possible) == (
        "AUC 0.7500 (best possible 0.8000), log loss 0.5000 (0.4000), RMSE 0.2500,"
        " calibration 1.5000"
    )


@pytest.mark.parametrize(
    ("monitor", "before", "words"),
    [
        ("auc", None, "validation AUC 0.7500 (best so far), log loss 0.5000."),
        ("auc", 0.8, "validation AUC 0.7500 (best: 0.8000), log loss 0.5000."),
        ("log_loss", 0.6, "validation log loss 0.5000 (best so far), AUC 0.7500."),
        ("log_loss", 0.4, "validation log loss 0.5000 (best: 0.4000), AUC 0.7500."),
    ],
)
def test_an_epoch_is_told_with_its_rank_by_the_monitored_metric(monitor, before, words):
    progress = Progress(epochs=1, best=before)
    progress.evaluated(METRICS, monitor)
    told = messages.epoch(progress, Options(epochs=5, monitor=monitor), 0.25, METRICS)
    assert told == f"Epoch 2 of 5: training loss 0.2500, {words}"


def test_a_cut_of_the_learning_rate_and_an_early_end_say_why():
    options = Options(epochs=9, patience=2, plateau_factor=0.1)
    assert messages.learning_rate_cut(options, 0.0003) == "Learning rate cut to 0.0003."
    assert "multiplied by 0.1" in messages.learning_rate_cut(options, None)
    progress = Progress(epochs=4, best=0.8, evaluations_since_best=2)
    assert messages.stopped(progress, options) == (
        "Stopped after epoch 4: 2 evaluations in a row without a better validation AUC."
    )


def test_an_epoch_without_the_monitored_metric_says_so():
    for metrics in (None, {"auc": None}):
        told = messages.epoch(Progress(1), Options(epochs=2), math.pi, metrics)
        assert told == "Epoch 1 of 2: training loss 3.1416, nothing to validate by."
