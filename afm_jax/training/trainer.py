"""Epochs: many updates, then an evaluation and a checkpoint."""

import contextlib
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from afm_jax.errors import InputError
from afm_jax.features import Batch
from afm_jax.ops import losses
from afm_jax.training import evaluation, steps, untrained
from afm_jax.training import feed as feeds
from afm_jax.training import state as states
from afm_jax.training.checkpoints import Checkpoints
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.metrics_log import MetricsLog
from afm_jax.training.progress import Clock, Options, Progress
from afm_jax.training.state import TrainState

_log = logging.getLogger(__name__)


class Interrupted(Exception):
    """The run was asked to stop; it has saved a checkpoint to go on from."""


class Trainer:
    """The epochs of a run, each of training and what follows it.

    Attributes:
        clock: how fast it trains.
    """

    def __init__(
        self,
        model: nn.Module,
        tx: optax.GradientTransformation,
        learning_rate: optax.Schedule,
        devices: Devices,
        dataset: Dataset,
        options: Options,
        state: TrainState,
        checkpoints: Checkpoints,
        metrics_log: MetricsLog,
    ):
        """Puts training rows where they are to be; the first call compiles.

        Args:
            model: over `devices.num_table_rows` ids.
            tx: the optimizer, made with `learning_rate`.
            learning_rate: the schedule, for the record.
            devices: where to compute.
            dataset: the data.
            options: how to train.
            state: a state on the devices, for its shapes.
            checkpoints: where to save.
            metrics_log: where to write metrics.
        """
        self.clock = Clock()
        self._learning_rate, self._devices = learning_rate, devices
        self._splits, self._groups = dataset.splits, dataset.groups
        self._options, self._fill = options, None
        self._checkpoints, self._metrics_log = checkpoints, metrics_log
        self._unchecked: list[tuple[int, jax.Array]] = []
        train = dataset.splits["train"]
        step = steps.make_train_step(
            model,
            tx,
            losses.make(options.loss),
            table_update=options.table_update,
            compute_dtype=options.compute_dtype,
            num_ids=devices.num_ids,
            full_batch=min(train.batch_size, train.num_rows),
            axis_name=devices.axis_name,
        )
        self._feed = feeds.make(
            options.data_placement,
            step,
            devices,
            train,
            state,
            table_update=options.table_update,
        )
        self._predict = devices.compile_predict(
            steps.make_predict(
                model,
                compute_dtype=options.compute_dtype,
                num_ids=devices.num_ids,
            )
        )

        if dataset.counts is not None:
            found = untrained.find(dataset.schema, dataset.counts)
            self._fill = devices.compile_fill(state, found)

    def train(
        self,
        state: TrainState,
        progress: Progress,
        stop_requested: Callable[[], bool],
        advance: Callable[[int, str], None],
    ) -> TrainState:
        """Trains what is left of an epoch; checkpoints and lines on the way.

        Args:
            state: after an update of this epoch, or the last of the one before.
            progress: where the run stands.
            stop_requested: as for `loop.train_and_evaluate`.
            advance: as for `loop.train_and_evaluate`.

        Raises:
            InputError: the loss is not finite.
            Interrupted: a stop was requested; there is a checkpoint to go on from.
        """
        train, options, clock = self._splits["train"], self._options, self.clock
        epoch, length = progress.epochs, train.steps_per_epoch
        step = timed_from = states.steps_made(state)
        begun, started = time.monotonic(), self._seconds()
        calls = self._feed.calls(epoch, step - epoch * length, self._pause(epoch))
        with contextlib.closing(calls):
            for call in calls:
                state, values = call.run(state)
                self._unchecked.append((epoch * length + call.losses_from, values))
                step += call.steps
                if not clock.warm:
                    self._check_losses(state)
                    _log.info("First step: %.1f s.", time.monotonic() - begun)
                    clock.warm = True
                    started, timed_from = self._seconds(), step
                note = ""
                if step % options.log_every == 0:
                    self._check_losses(state)
                    state, line = _loss_line(state, step - 1, self._learning_rate)
                    self._metrics_log.write(step, {"epoch": epoch, **line})
                    note = f"loss {line['loss']:.4f}"
                advance(self._rows(step - call.steps, step), note)
                if step == (epoch + 1) * length:
                    continue
                due = options.checkpoint_every and step % options.checkpoint_every == 0
                stop = stop_requested()
                if due or stop:
                    self._check_losses(state)
                    self._save(state, progress)
                if stop:
                    raise Interrupted(f"Stopped after step {step}.")
        self._check_losses(state)
        clock.add(self._rows(timed_from, step), self._seconds() - started)
        return state

    def evaluate(self, state: TrainState, progress: Progress) -> TrainState:
        """What follows an epoch: metrics, the next learning rate, a checkpoint.

        Before them, table rows that no training row uses are set to the mean of those of
        their field, unless the dataset has no counts.

        Raises:
            InputError: a logit is not finite.
        """
        options, metrics = self._options, None
        if self._fill is not None:
            state = self._fill(state)
        if "validation" in self._splits:
            columns = self.logits(state, "validation")
            metrics = evaluation.metrics_of(*columns, loss=options.loss)
        if not progress.evaluated(metrics, options.monitor):
            scale = state.learning_rate_scale * options.plateau_factor
            state = state._replace(learning_rate_scale=scale)
        line = {"epoch": progress.epochs, "validation": metrics}
        self._metrics_log.write(states.steps_made(state), line)
        _log.info("Epoch %d: %s", progress.epochs, _short(metrics))
        self._devices.compilations.log()
        self._save(state, progress, metrics)
        return state

    def logits(self, state: TrainState, name: str) -> tuple[Any, ...]:
        """The arguments of `evaluation.metrics_of` on the split of this name.

        Raises:
            InputError: a logit is not finite.
        """
        batches = self._splits[name].batches(0, transform=self._devices.place_batch)
        predict = functools.partial(self._predict, state.variables)
        try:
            with contextlib.closing(batches):
                columns = evaluation.logits_of(predict, batches)
                return *columns, self._groups.get(name)
        except evaluation.NotFiniteError as error:
            batches = self._splits[name].batches(0, transform=lambda batch: batch)
            with contextlib.closing(batches):
                self._check_ids(name, batches)
            what = f"On the {name} split {str(error).removesuffix('.')}"
            at = states.steps_made(state) - 1
            raise self._diverged(what, at, state) from None

    def _seconds(self) -> float:
        """A clock that stands still while something is compiled."""
        return time.monotonic() - self._devices.compilations.seconds

    def _pause(self, epoch: int) -> Callable[[int], int]:
        """Step of the epoch -> the next one after which there is something to do."""
        start = epoch * self._splits["train"].steps_per_epoch
        options = self._options
        every = [n for n in (options.log_every, options.checkpoint_every) if n]

        def pause(step: int) -> int:
            if not self.clock.warm:
                return step + 1
            now = start + step
            return min(now - now % each + each for each in every) - start

        return pause

    def _rows(self, first: int, last: int) -> int:
        """Rows that the steps `first` to `last` - 1 train on, all of one epoch."""
        train = self._splits["train"]
        missing = train.steps_per_epoch * train.batch_size - train.num_rows
        ends = last % train.steps_per_epoch == 0 and last > first
        return (last - first) * train.batch_size - ends * missing

    def _save(
        self,
        state: TrainState,
        progress: Progress,
        metrics: Mapping[str, float | None] | None = None,
    ) -> None:
        self._checkpoints.save(
            states.steps_made(state),
            self._devices.view_state(state),
            dataclasses.asdict(progress) | {"lines": self._metrics_log.checksums},
            metrics,
        )

    def _check_losses(self, state: TrainState) -> None:
        """Stops if a loss since the last check is not finite."""
        for first, values in self._unchecked:
            wrong = np.flatnonzero(~np.isfinite(np.ravel(values)))
            if wrong.size:
                at, train = first + int(wrong[0]), self._splits["train"]
                batch = train.batch(*divmod(at, train.steps_per_epoch))
                self._check_ids("train", [batch])
                what = f"The loss is {np.ravel(values)[wrong[0]]}"
                raise self._diverged(what, at, state)
        self._unchecked.clear()

    def _check_ids(self, name: str, batches: Iterable[Batch]) -> None:
        """Tells damaged data, whose logits are NaN, from a model that diverged."""
        num_ids = self._devices.num_ids
        for batch in batches:
            ids = np.asarray(batch.features.ids)
            wrong = ids[(ids < 0) | (ids >= num_ids)]
            if wrong.size:
                raise InputError(
                    f"The {name} split has a feature id {wrong[0]}, outside [0, {num_ids}): the data are damaged; prepare them again."
                )

    def _diverged(self, what: str, at: int, state: TrainState) -> InputError:
        """Says of numbers that are not finite where that was, and what is left."""
        scale = float(np.ravel(state.learning_rate_scale)[0])
        rate = float(self._learning_rate(at)) * scale
        saved = self._checkpoints.latest_step()
        last = "there is none yet" if saved is None else f"step {saved}"
        return InputError(
            f"{what} at step {at}, learning rate {rate:g}; last checkpoint: {last}. Try a smaller learning rate or clip_norm."
        )


def _loss_line(
    state: TrainState, step: int, learning_rate: optax.Schedule
) -> tuple[TrainState, dict[str, float]]:
    """The mean loss since the last line, which starts anew, and the learning rate."""
    loss_sum, weight_sum, scale = (
        float(np.ravel(value)[0])
        for value in (state.loss_sum, state.weight_sum, state.learning_rate_scale)
    )
    line = {
        "loss": loss_sum / weight_sum if weight_sum else 0.0,
        "learning_rate": float(learning_rate(step)) * scale,
    }
    # x - x: zeros that stay where x is.
    state = state._replace(
        loss_sum=state.loss_sum - state.loss_sum,
        weight_sum=state.weight_sum - state.weight_sum,
    )
    return state, line


def _short(metrics: Mapping[str, float | None] | None) -> str:
    if metrics is None:
        return "no validation split"
    return ", ".join(
        f"{name} {value:.5g}" for name, value in metrics.items() if value is not None
    )
