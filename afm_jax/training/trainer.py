"""The trainer: the compiled functions of a task, and an epoch as a loop over calls."""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np

from afm_jax.training import (
    catch_up,
    evaluation,
    feed,
    missed_updates,
    steps,
    untrained,
)
from afm_jax.training import state as states
from afm_jax.training.actions import NEVER, Action, Clock, Moment
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.divergence import Divergence
from afm_jax.training.state import TrainState
from afm_jax.training.task import Task


class Trainer:
    """Trains epochs of a task on devices, and evaluates it.

    Attributes:
        dataset: the data.
        devices: where it computes.
        clock: how fast it trains; an action of every epoch.
    """

    def __init__(
        self,
        task: Task,
        dataset: Dataset,
        devices: Devices,
        state: TrainState,
        divergence: Divergence,
        *,
        placement: str = "auto",
    ):
        """Puts training rows where they are to be; the first calls compile.

        Args:
            task: what to train.
            dataset: the data.
            devices: where to compute.
            state: a state on the devices, for its shapes.
            divergence: what to say of logits that are not finite.
            placement: of the training rows, as for `feed.make`.
        """
        self.dataset, self.devices = dataset, devices
        self.clock = Clock(lambda: time.monotonic() - devices.compilations.seconds)
        self._task, self._divergence = task, divergence
        train = dataset.splits["train"]
        step = steps.make_train_step(
            task,
            num_table_rows=devices.num_table_rows,
            full_batch=min(train.batch_size, train.num_rows),
            axis_name=devices.axis_name,
        )
        self._feed = feed.make(
            placement, devices, train, find_unique_ids=task.table_update != "dense"
        )
        self._resting = catch_up.of(task, state.params)
        self._catch_up: Callable[[TrainState], TrainState] = lambda state: state
        within = state
        if self._resting is not None:
            end = functools.partial(catch_up.end, self._resting)
            self._catch_up = devices.compile_catch_up(end, state)
            within = state._replace(
                missed=missed_updates.Missed(state.step, state.step)
            )
        self._steps = devices.compile_train_steps(step, within)
        predict = steps.make_predict(
            task.model,
            compute_dtype=task.compute_dtype,
            num_table_rows=devices.num_table_rows,
        )
        self._predict = devices.compile_predict(predict)
        self._fill = None
        if dataset.counts is not None:
            found = untrained.find(dataset.schema, dataset.counts)
            self._fill = devices.compile_fill(state, found)

    def train(
        self, state: TrainState, epoch: int, actions: Sequence[Action]
    ) -> TrainState:
        """Trains what is left of an epoch, and does on the way what is due.

        Args:
            state: after an update of this epoch, or the last of the one before.
            epoch: from 0.
            actions: in the order in which they run.

        Raises:
            What an action raises.
        """
        train = self.dataset.splits["train"]
        start = epoch * train.steps_per_epoch
        moment = Moment(state, epoch, states.steps_made(state))
        self.clock.start(moment.step)
        if self._resting is not None:
            missed = missed_updates.of_epoch(
                self._resting, state, start, start + train.steps_per_epoch
            )
            moment.state = state._replace(missed=self.devices.place_replicated(missed))

        def pause(step: int) -> int:
            at = start + step
            due = [action.next_due(at) for action in actions]
            return min([later for later in due if later > at], default=NEVER) - start

        calls = self._feed.calls(epoch, moment.step - start, pause)
        with contextlib.closing(calls):
            for call in calls:
                state, losses = self._steps(
                    moment.state, call.source, call.first, call.last
                )
                # One call runs and one waits: each that waits holds memory of its own.
                jax.block_until_ready(moment.losses)
                before, step = moment.step, moment.step + call.steps
                moment = Moment(
                    state,
                    epoch,
                    step,
                    ends_epoch=step == start + train.steps_per_epoch,
                    rows=self._rows(before, step),
                    losses=losses,
                    losses_from=start + call.offset,
                )
                for action in actions:
                    if action.next_due(before) <= step:
                        action.run(moment)
        return moment.state

    def end_epoch(self, state: TrainState) -> TrainState:
        """Brings table rows up to date that the last updates of an epoch did not use.

        They catch up (see `training.catch_up`). Those that no training row uses become
        the mean of those of their field, unless the dataset is without counts.
        """
        state = self._catch_up(state)
        return state if self._fill is None else self._fill(state)

    def evaluate(
        self, state: TrainState, split: str
    ) -> tuple[np.ndarray, dict[str, float | None]]:
        """Logits, float32 [N], and metrics on a split.

        Raises:
            InputError: a logit is not finite.
        """
        batches = self.dataset.splits[split].batches(
            0, transform=self.devices.place_batch
        )
        predict = functools.partial(self._predict, state.variables)
        try:
            with contextlib.closing(batches):
                columns = evaluation.logits_of(predict, batches)
        except evaluation.NotFiniteError as error:
            raise self._divergence.of_logits(str(error), split, state) from None
        groups = self.dataset.groups.get(split)
        return columns[0], evaluation.metrics_of(
            *columns, groups, loss=self._task.made_loss
        )

    def _rows(self, first: int, last: int) -> int:
        """Rows that the steps `first` to `last` - 1 train on, all of one epoch."""
        train = self.dataset.splits["train"]
        missing = train.steps_per_epoch * train.batch_size - train.num_rows
        ends = last % train.steps_per_epoch == 0 and last > first
        return (last - first) * train.batch_size - ends * missing
