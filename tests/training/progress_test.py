"""Counting evaluations without a rise, and when a run is over."""

import pytest

from afm_jax.training.progress import Options, Progress


def test_progress_counts_evaluations_without_a_rise():
    progress = Progress()
    rose = [progress.evaluated({"auc": auc}) for auc in (0.6, 0.7, 0.7, 0.65, 0.8)]
    assert rose == [True, True, False, False, True]
    assert progress == Progress(epochs=5, best=0.8)
    assert progress.evaluated({"auc": None})
    assert progress.evaluated(None)


@pytest.mark.parametrize(
    ("progress", "over"),
    [
        (Progress(epochs=3), False),
        (Progress(epochs=4), True),
        (Progress(epochs=3, best=0.7, evaluations_without_rise=1), False),
        (Progress(epochs=3, best=0.7, evaluations_without_rise=2), True),
    ],
)
def test_a_run_is_over_after_its_epochs_or_its_patience(progress, over):
    assert progress.is_over(Options(epochs=4, patience=2)) is over


def test_without_patience_only_epochs_count():
    tired = Progress(epochs=3, best=0.7, evaluations_without_rise=3)
    assert not tired.is_over(Options(epochs=4))
