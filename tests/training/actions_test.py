"""When actions are due, and what a clock counts."""

import types

import pytest

from afm_jax.training.actions import (
    NEVER,
    CheckLosses,
    Clock,
    Interrupted,
    LogLoss,
    Moment,
    SaveCheckpoint,
    Stop,
)


class Divergence:
    def of_loss(self, loss, step, state):
        return ValueError(f"{loss} at {step}")


def checking():
    return CheckLosses(Divergence())


def test_the_loss_is_told_after_the_first_steps_and_at_every_end_of_an_epoch():
    def steps(every, epoch_steps, last):
        action = LogLoss(None, None, None, every=every, epoch_steps=epoch_steps)
        found = [0]
        while found[-1] < last:
            found.append(action.next_due(found[-1]))
        return found[1:]

    assert steps(100, 250, 500) == [1, 10, 100, 200, 250, 300, 400, 500]
    assert steps(100, 7, 21) == [1, 7, 10, 14, 21]
    assert steps(2, 5, 6) == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    ("every", "step", "due"), [(5, 0, 5), (5, 4, 5), (5, 5, 10), (0, 7, NEVER)]
)
def test_a_checkpoint_is_due_at_multiples(every, step, due):
    saving = SaveCheckpoint(lambda state: None, checking(), every=every)
    assert saving.next_due(step) == due


def test_a_stop_saves_once_and_not_at_the_end_of_an_epoch():
    saved = []
    saving = SaveCheckpoint(saved.append, checking(), every=5)
    stop = Stop(lambda: True, saving)
    moment = Moment("state", 0, 10)
    saving.run(moment)
    with pytest.raises(Interrupted, match="after step 10"):
        stop.run(moment)
    assert saved == ["state"]
    ends = Moment("end", 0, 12, ends_epoch=True)
    saving.run(ends)
    stop.run(ends)
    assert saved == ["state"]


def test_no_checkpoint_holds_a_loss_that_is_not_finite():
    losses, saved = checking(), []
    saving = SaveCheckpoint(saved.append, losses, every=2)
    losses.run(Moment("state", 0, 1, losses=[0.5], losses_from=0))
    bad = Moment("state", 0, 4, losses=[0.5, float("nan")], losses_from=2)
    losses.run(bad)
    with pytest.raises(ValueError, match="nan at 3"):
        saving.run(bad)
    assert not saved


def test_losses_are_looked_at_after_the_first_call_and_each_epoch():
    losses = checking()
    with pytest.raises(ValueError, match="inf at 0"):
        losses.run(Moment("state", 0, 1, losses=[float("inf")]))
    losses = checking()
    losses.run(Moment("state", 0, 1, losses=[1.0]))
    losses.run(Moment("state", 0, 2, losses=[float("inf")], losses_from=1))
    with pytest.raises(ValueError, match="inf at 1"):
        losses.run(Moment("state", 0, 3, losses=[1.0], losses_from=2, ends_epoch=True))


def test_a_clock_counts_the_rows_after_its_start_and_the_seconds_of_whole_epochs():
    now = types.SimpleNamespace(seconds=0.0)
    clock = Clock(lambda: now.seconds)
    assert clock.rate() is None
    for epoch in range(2):
        clock.start(2 * epoch)
        now.seconds += 100.0  # a first call, after which the clock starts anew
        clock.start(2 * epoch + 1)
        clock.run(Moment("state", epoch, 2 * epoch + 1, rows=64))
        now.seconds += 2.0
        clock.run(Moment("state", epoch, 2 * epoch + 2, rows=36, ends_epoch=True))
    assert clock.rate() == 18
