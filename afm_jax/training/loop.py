"""The training loop: epochs, evaluations, checkpoints, and when to stop."""

import contextlib
import dataclasses
import functools
import logging
import pathlib
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.ops import losses
from afm_jax.training import evaluation, steps, updates
from afm_jax.training import state as states
from afm_jax.training.checkpoints import Checkpoints
from afm_jax.training.parallel import Devices
from afm_jax.training.progress import Clock, Options, Progress
from afm_jax.training.records import Records, write_logits
from afm_jax.training.state import TrainState
from afm_jax.training.updates import Batches

_log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints in a working directory."""


class Interrupted(Exception):
    """The run was asked to stop; it has saved a checkpoint to go on from."""


def train_and_evaluate(
    model: nn.Module,
    tx: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    devices: Devices,
    splits: Mapping[str, Batches],
    schema: Schema,
    workdir: pathlib.Path,
    options: Options,
    *,
    tables: Mapping[str, np.ndarray] = MappingProxyType({}),
    stop_requested: Callable[[], bool] = lambda: False,
    advance: Callable[[int, str], None] = lambda rows, note: None,
) -> dict[str, Any]:
    """Trains a model, or goes on with training it, and evaluates the best checkpoint.

    If `workdir` holds checkpoints, training goes on from the newest that is not
    damaged, and ends with the same parameters, to the bit, as if it had not stopped.

    Args:
        model: a model over `schema`.
        tx: the optimizer, made with `learning_rate`.
        learning_rate: the schedule, for the record.
        devices: where to compute.
        splits: 'train' (shuffled), and 'validation', 'test' where there are any.
        schema: of the data.
        workdir: an existing folder for checkpoints and metrics.
        options: how to train.
        tables: tables by name that a fresh run starts from; see `state.put_tables`.
        stop_requested: asked after every call, of one step or several (see
            `training.updates`); True saves and raises `Interrupted`.
        advance: told the rows of each call, and a note with the loss.

    Returns:
        'validation' and 'test' metrics (or None) of the best checkpoint by the
        monitored metric, whose logits are left in `workdir` too (see
        `records.write_logits`), 'epochs', 'steps', 'examples_per_second' (training
        alone, without the first step, which compiles; None if this call made no further
        one), 'params'.

    Raises:
        InputError: the loss, or a logit in an evaluation, is no longer finite, or the
            checkpoints are of another model or schema.
        Interrupted: see `stop_requested`.
    """
    train, evaluates = splits["train"], "validation" in splits
    devices.check_batch_size(train.batch_size)
    first = train.batch(0, 0).features
    key = jax.random.key(options.seed)
    state = devices.create_state(model, tx, first, key)
    sized = model.clone(vocab_size=devices.table_rows)
    step_fn = steps.make_train_step(
        sized,
        tx,
        losses.make(options.loss),
        table_update=options.table_update,
        compute_dtype=options.compute_dtype,
        axis_name=devices.axis_name,
    )
    update = updates.make(
        options.data_placement,
        step_fn,
        devices,
        train,
        state,
        table_update=options.table_update,
    )
    predict = devices.compile_predict(
        steps.make_predict(sized, compute_dtype=options.compute_dtype)
    )
    example = devices.gather_state(state)

    def logits_on(state: TrainState, name: str) -> tuple[np.ndarray, ...]:
        with contextlib.closing(
            splits[name].batches(0, transform=devices.place_batch)
        ) as batches:
            columns = evaluation.logits_of(
                functools.partial(predict, state.variables),
                batches,
                group=options.group,
            )
        wrong = np.count_nonzero(~np.isfinite(columns[0]))
        if wrong:
            raise _diverged(
                f"{wrong} of {columns[0].size} logits on the {name} split are NaN or infinite",
                int(np.ravel(state.step)[0]) - 1,
                state,
                learning_rate,
                checkpoints,
            )
        return columns

    def metrics_on(state: TrainState, name: str) -> dict[str, float | None]:
        columns = logits_on(state, name)
        return evaluation.metrics_of(*columns, loss=options.loss)

    with Checkpoints(
        workdir / CHECKPOINTS, schema, monitor=options.monitor
    ) as checkpoints:
        progress = Progress()
        if checkpoints.latest_step() is not None:
            found, host_state, saved = checkpoints.restore(example)
            state, progress = devices.place_state(host_state), Progress(**saved)
            _log.info("Going on from step %d.", found)
        elif tables:
            params = states.put_tables(example.params, tables)
            state = devices.place_state(example._replace(params=params))
        clock = Clock()
        step = int(np.ravel(state.step)[0])
        with contextlib.closing(Records(workdir, step=step)) as records:
            while not progress.is_over(options):
                state = _train_epoch(
                    state,
                    progress,
                    update,
                    learning_rate,
                    devices,
                    train,
                    options,
                    checkpoints,
                    records,
                    clock,
                    stop_requested,
                    advance,
                )
                step = (progress.epochs + 1) * train.steps_per_epoch
                metrics = metrics_on(state, "validation") if evaluates else None
                if not progress.evaluated(metrics, options.monitor):
                    state = state._replace(
                        learning_rate_scale=state.learning_rate_scale
                        * options.plateau_factor
                    )
                records.write(step, {"epoch": progress.epochs, "validation": metrics})
                _log.info("Epoch %d: %s", progress.epochs, _short(metrics))
                checkpoints.save(
                    step,
                    devices.gather_state(state),
                    dataclasses.asdict(progress),
                    metrics,
                )
                if stop_requested() and not progress.is_over(options):
                    raise Interrupted(f"Stopped after epoch {progress.epochs}.")
        checkpoints.wait()
        if checkpoints.best_step() is not None:
            _, host_state, _ = checkpoints.restore_best(example)
            state = devices.place_state(host_state)
    final: dict[str, Any] = {"validation": None, "test": None}
    for name in [name for name in final if name in splits]:
        columns = logits_on(state, name)
        write_logits(workdir, name, columns[0])
        final[name] = evaluation.metrics_of(*columns, loss=options.loss)
    return {
        **final,
        "epochs": progress.epochs,
        "steps": step,
        "examples_per_second": clock.rate(),
        "params": states.num_params(example.params),
    }


def _train_epoch(
    state: TrainState,
    progress: Progress,
    update: updates.Updates,
    learning_rate: optax.Schedule,
    devices: Devices,
    train: Batches,
    options: Options,
    checkpoints: Checkpoints,
    records: Records,
    clock: Clock,
    stop_requested: Callable[[], bool],
    advance: Callable[[int, str], None],
) -> TrainState:
    """Trains what is left of the epoch; checkpoints and lines on the way."""
    epoch, length = progress.epochs, train.steps_per_epoch
    step = int(np.ravel(state.step)[0])
    unchecked: list[tuple[int, jax.Array]] = []

    def check_losses() -> None:
        """Stops if a loss since the last check is not finite."""
        for first, losses in unchecked:
            wrong = np.flatnonzero(~np.isfinite(np.ravel(losses)))
            if wrong.size:
                raise _diverged(
                    f"The loss is {np.ravel(losses)[wrong[0]]}",
                    first + int(wrong[0]),
                    state,
                    learning_rate,
                    checkpoints,
                )
        unchecked.clear()

    def pause(step: int) -> int:
        """The next step of the epoch after which there is something to do."""
        if not clock.warm:
            return step + 1
        every = filter(None, (options.log_every, options.checkpoint_every))
        now = epoch * length + step
        return min(now - now % each + each for each in every) - epoch * length

    started, timed_from = time.monotonic(), step
    calls = update.calls(epoch, step - epoch * length, pause)
    with contextlib.closing(calls):
        for call in calls:
            state, losses = call.run(state)
            unchecked.append((epoch * length + call.losses_from, losses))
            step += call.steps
            if not clock.warm:
                check_losses()
                _log.info("First step: %.1f s.", time.monotonic() - started)
                clock.warm = True
                started, timed_from = time.monotonic(), step
            note = ""
            if step % options.log_every == 0:
                check_losses()
                state, line = _loss_line(state, step - 1, learning_rate)
                records.write(step, {"epoch": epoch, **line})
                note = f"loss {line['loss']:.4f}"
            advance(call.steps * train.batch_size, note)
            if step == (epoch + 1) * length:
                continue
            due = options.checkpoint_every and step % options.checkpoint_every == 0
            stop = stop_requested()
            if due or stop:
                check_losses()
                checkpoints.save(
                    step, devices.gather_state(state), dataclasses.asdict(progress)
                )
            if stop:
                raise Interrupted(f"Stopped after step {step}.")
    check_losses()
    clock.add((step - timed_from) * train.batch_size, time.monotonic() - started)
    return state


def _diverged(
    what: str,
    at: int,
    state: TrainState,
    learning_rate: optax.Schedule,
    checkpoints: Checkpoints,
) -> InputError:
    """Says of numbers that are not finite where training was, and what is left."""
    rate = float(learning_rate(at)) * float(np.ravel(state.learning_rate_scale)[0])
    saved = checkpoints.latest_step()
    last = "there is none yet" if saved is None else f"step {saved}"
    return InputError(
        f"{what} at step {at}, learning rate {rate:g}; last good checkpoint: {last}. Try a smaller learning rate or clip_norm."
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
        "loss": loss_sum / max(weight_sum, 1.0),
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
