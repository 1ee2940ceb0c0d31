"""What a run does now and then while it trains: each action says when it is next due.

An epoch is a loop over compiled calls. No call goes beyond the next step at which an action
is due, and after each call the actions that are due run in their order.
"""

import dataclasses
import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from afm_jax.training.divergence import Divergence
from afm_jax.training.run.metrics_log import MetricsLog
from afm_jax.training.state import TrainState
from afm_jax.training.task import Task

_log = logging.getLogger(__name__)

NEVER = sys.maxsize

_FIRST_LINES = (1, 10)
"""Steps after which the first lines of the loss are written."""


class Interrupted(Exception):
    """The run was asked to stop; it has saved a checkpoint to go on from."""


@dataclasses.dataclass
class Moment:
    """Where a run stands after a call.

    Attributes:
        state: the state on the devices; an action may put another in its place.
        epoch: from 0.
        step: updates made since the run began.
        ends_epoch: whether these are all updates of the epoch.
        rows: training rows of the call.
        losses: float32 [...], of the call's updates; other places are 0 or the loss of
            an update made before.
        losses_from: the step, since the run began, of the first of `losses`.
        note: about the loss, for those who watch.
    """

    state: TrainState
    epoch: int
    step: int
    ends_epoch: bool = False
    rows: int = 0
    losses: Any = None
    losses_from: int = 0
    note: str = ""


class Action(Protocol):
    """Something to do between calls."""

    def next_due(self, step: int) -> int:
        """The first step after `step` at which there is something to do.

        `step` itself stands for after every call, wherever that ends.
        """

    def run(self, moment: Moment) -> None:
        """Does it."""


class CheckLosses:
    """Ends the run where a loss is not finite: after the first call and each epoch, and
    before anything is written."""

    def __init__(self, divergence: Divergence):
        self._divergence = divergence
        self._unchecked: list[tuple[int, jax.Array]] = []
        self._first = True

    def next_due(self, step: int) -> int:
        return step

    def run(self, moment: Moment) -> None:
        """Notes the losses of a call.

        Raises:
            InputError: a loss is not finite, if it is looked at.
        """
        self._unchecked.append((moment.losses_from, moment.losses))
        if self._first or moment.ends_epoch:
            self._first = False
            self.check(moment.state)

    def check(self, state: TrainState) -> None:
        """Looks at all losses that were noted; raises InputError if one is not finite."""
        for first, losses in self._unchecked:
            values = np.ravel(losses)
            wrong = np.flatnonzero(~np.isfinite(values))
            if wrong.size:
                at = int(wrong[0])
                raise self._divergence.of_loss(float(values[at]), first + at, state)
        self._unchecked.clear()


class Clock:
    """Measures how fast a run trains, without compilation and its first call."""

    def __init__(self, seconds: Callable[[], float]):
        """Makes a clock that stands.

        Args:
            seconds: a clock that stands still while something is compiled.
        """
        self._seconds = seconds
        self._rows = self._counted_rows = 0
        self._time = 0.0
        self.start(0)

    def start(self, step: int) -> None:
        """Starts anew; rows of the calls that end after `step` count."""
        self._from, self._rows, self._started = step, 0, self._seconds()

    def next_due(self, step: int) -> int:
        return step

    def run(self, moment: Moment) -> None:
        """Counts the rows of a call; an epoch's end is taken down."""
        if moment.step > self._from:
            self._rows += moment.rows
        if moment.ends_epoch:
            self._counted_rows += self._rows
            self._time += self._seconds() - self._started

    def rate(self) -> int | None:
        """Rows a second over the epochs that ended; None if no rows counted."""
        return round(self._counted_rows / self._time) if self._counted_rows else None


class FirstCall:
    """After the first call of a process, which compiles, the clock starts anew."""

    def __init__(self, clock: Clock):
        self._clock, self._over = clock, False
        self._begun = time.monotonic()

    def next_due(self, step: int) -> int:
        return NEVER if self._over else step + 1

    def run(self, moment: Moment) -> None:
        note = f": {moment.note}" if moment.note else ""
        _log.info("First step after %.1f s%s.", time.monotonic() - self._begun, note)
        self._over = True
        self._clock.start(moment.step)


class LogLoss:
    """Writes the mean loss since the line before, and the learning rate.

    There is a line after so many steps, at the end of each epoch, and after the first
    steps of a run, so that the loss is seen from the beginning.

    Attributes:
        loss: the mean loss of the last line; NaN before the first.
    """

    def __init__(
        self,
        task: Task,
        log: MetricsLog,
        losses: CheckLosses,
        *,
        every: int,
        epoch_steps: int,
    ):
        """Makes the action.

        Args:
            task: what is trained.
            log: takes the lines.
            losses: checked before each line.
            every: steps between lines.
            epoch_steps: steps of an epoch.
        """
        self._task, self._log, self._losses = task, log, losses
        self._every, self._epoch_steps = every, epoch_steps
        self.loss = math.nan

    def next_due(self, step: int) -> int:
        regular = [
            step - step % steps + steps for steps in (self._every, self._epoch_steps)
        ]
        return min(*regular, *(first for first in _FIRST_LINES if first > step))

    def run(self, moment: Moment) -> None:
        self._losses.check(moment.state)
        state = moment.state
        loss_sum, weight_sum = _number(state.loss_sum), _number(state.weight_sum)
        self.loss = loss_sum / weight_sum if weight_sum else 0.0
        line = {"loss": self.loss}
        rate = self.learning_rate(state, moment.step - 1)
        if rate is not None:
            line["learning_rate"] = rate
        self._log.write(moment.step, {"epoch": moment.epoch, **line})
        moment.note = f"loss {self.loss:.4f}"
        # x - x: zeros that stay where x is.
        moment.state = state._replace(
            loss_sum=state.loss_sum - state.loss_sum,
            weight_sum=state.weight_sum - state.weight_sum,
        )

    def learning_rate(self, state: TrainState, step: int) -> float | None:
        """The learning rate of a step, from 0; None if the optimizer alone knows it."""
        rate = self._task.learning_rate_at(step)
        return None if rate is None else rate * _number(state.learning_rate_scale)


class Advance:
    """Says how far the run is."""

    def __init__(self, advance: Callable[[int, str], None]):
        self._advance, self._note = advance, ""

    def next_due(self, step: int) -> int:
        return step

    def run(self, moment: Moment) -> None:
        self._note = moment.note or self._note
        self._advance(moment.rows, self._note)


class SaveCheckpoint:
    """Saves a checkpoint within an epoch; its end has one of its own."""

    def __init__(
        self, save: Callable[[TrainState], None], losses: CheckLosses, *, every: int
    ):
        self._save, self._losses, self._every = save, losses, every
        self._last = 0

    def next_due(self, step: int) -> int:
        return step - step % self._every + self._every if self._every else NEVER

    def run(self, moment: Moment) -> None:
        if not moment.ends_epoch and moment.step != self._last:
            self._losses.check(moment.state)
            self._save(moment.state)
            self._last = moment.step


class Stop:
    """Ends the run within an epoch if that is asked for, with a checkpoint to go on from."""

    def __init__(self, requested: Callable[[], bool], save: SaveCheckpoint):
        self._requested, self._save = requested, save

    def next_due(self, step: int) -> int:
        return step

    def run(self, moment: Moment) -> None:
        """Saves and raises Interrupted, if a stop is requested."""
        if not moment.ends_epoch and self._requested():
            self._save.run(moment)
            raise Interrupted(f"Stopped after step {moment.step}.")


def _number(leaf: jax.Array) -> float:
    """A scalar of a state, of which every device of a pmap has a copy."""
    return float(np.ravel(leaf)[0])
