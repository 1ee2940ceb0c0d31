"""One rule tells the best evaluation, to the log, to patience and to checkpoints."""

import numpy as np
import pytest

from afm_jax.training.progress import Progress
from afm_jax.training.run.best import Best


@pytest.mark.parametrize(("monitor", "sign"), [("auc", 1), ("rmse", -1)])
def test_the_best_is_the_first_of_equals(monitor, sign):
    best = Best(monitor)
    for step, value in enumerate([0.6, 0.7, 0.7, None, float("nan"), 0.65], start=1):
        best.note(step, {monitor: None if value is None else sign * value})
    best.note(7, None)
    assert best.step_of(range(1, 8)) == 2
    assert best.step_of([3, 4, 6]) == 3
    assert best.step_of([4, 5, 7]) is None


@pytest.mark.parametrize("monitor", ["auc", "log_loss"])
def test_the_epoch_that_is_told_as_the_best_is_the_one_that_is_restored(monitor):
    rng = np.random.default_rng(0)
    for _ in range(50):
        progress, best, told = Progress(), Best(monitor), None
        for step in range(1, 12):
            value = rng.choice([None, 0.1, 0.2, 0.3, float("nan")])
            found = {monitor: value}
            before = progress.best
            progress.evaluated(found, monitor)
            best.note(step, found)
            told = step if progress.best != before else told
            assert best.step_of(range(1, step + 1)) == told
