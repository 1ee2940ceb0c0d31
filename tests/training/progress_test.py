"""Counting evaluations since the best, and when a run is over."""

import pytest

from afm_jax.errors import InputError
from afm_jax.label_kinds import LABEL_KINDS
from afm_jax.ops import losses
from afm_jax.training.progress import Options, Progress

SQUARED = losses.make("squared_error")


@pytest.mark.parametrize(("monitor", "sign"), [("auc", 1), ("rmse", -1)])
def test_progress_counts_evaluations_that_are_not_the_best(monitor, sign):
    progress = Progress()
    better = [
        progress.evaluated({monitor: value}, monitor)
        for value in [sign * x for x in (0.6, 0.7, 0.7, 0.65, 0.8)]
    ]
    assert better == [True, True, False, False, True]
    assert progress == Progress(epochs=5, best=sign * 0.8)
    assert progress.evaluated({monitor: None}, monitor)
    assert progress.evaluated(None, monitor)


@pytest.mark.parametrize(
    ("progress", "over"),
    [
        (Progress(epochs=3), False),
        (Progress(epochs=4), True),
        (Progress(epochs=3, best=0.7, evaluations_since_best=1), False),
        (Progress(epochs=3, best=0.7, evaluations_since_best=2), True),
    ],
)
def test_a_run_is_over_after_its_epochs_or_its_patience(progress, over):
    assert progress.is_over(Options(epochs=4, patience=2)) is over


def test_a_metric_that_is_not_measured_cannot_be_monitored():
    with pytest.raises(InputError, match="not measured"):
        Options(epochs=1, monitor="log_loss").check_monitor(SQUARED, groups=True)
    Options(epochs=1, monitor="rmse").check_monitor(SQUARED, groups=False)
    with pytest.raises(InputError, match="monitor='gauc' needs the groups"):
        Options(epochs=1, monitor="gauc").check_monitor(SQUARED, groups=False)
    Options(epochs=1, monitor="gauc").check_monitor(SQUARED, groups=True)
    with pytest.raises(InputError, match="monitor must be one of"):
        Options(epochs=1, monitor="calibration")


@pytest.mark.parametrize(
    ("kind", "loss", "monitor", "others"),
    [
        ("real", "regression", "auc", "rmse, mae"),
        ("probability", "sigmoid_cross_entropy", "auc", "log_loss, rmse"),
        ("binary", "sigmoid_cross_entropy", "mae", "auc, "),
    ],
)
def test_the_monitored_metric_is_one_of_such_labels(kind, loss, monitor, others):
    made = losses.make(loss)
    told = (
        f"monitor='{monitor}' .* {LABEL_KINDS[kind]}; choose a monitor from .*{others}"
    )
    with pytest.raises(InputError, match=told):
        Options(epochs=1, monitor=monitor).check_monitor(
            made, groups=False, label_kind=kind
        )
    Options(epochs=1, monitor="rmse").check_monitor(made, groups=False, label_kind=kind)


def test_without_patience_only_epochs_count():
    tired = Progress(epochs=3, best=0.7, evaluations_since_best=3)
    assert not tired.is_over(Options(epochs=4))
