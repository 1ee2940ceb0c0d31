"""The training loop: start or go on, epoch by epoch, and evaluate the best."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any

import jax

from afm_jax import model_rules
from afm_jax.errors import InputError
from afm_jax.features import Features
from afm_jax.training import catch_up, leaves, messages, optimizers, resting
from afm_jax.training import state as states
from afm_jax.training.actions import (
    Action,
    Advance,
    CheckLosses,
    FirstCall,
    Interrupted,
    LogLoss,
    SaveCheckpoint,
    Stop,
)
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.divergence import Divergence
from afm_jax.training.progress import Options, Progress
from afm_jax.training.run.checkpoints import Checkpoints
from afm_jax.training.run.folder import Run
from afm_jax.training.run.metrics_log import MetricsLog
from afm_jax.training.state import TrainState
from afm_jax.training.task import Task
from afm_jax.training.trainer import Trainer

_log = logging.getLogger(__name__)


def train_and_evaluate(
    task: Task,
    dataset: Dataset,
    devices: Devices,
    run: Run,
    options: Options,
    *,
    stop_requested: Callable[[], bool] = lambda: False,
    advance: Callable[[int, str], None] = lambda rows, note: None,
) -> dict[str, Any]:
    """Trains a model, or goes on with training it, and evaluates the best checkpoint.

    If `run` holds checkpoints, training goes on from the newest that is not damaged, and
    ends with the same parameters, to the bit, as if it had not stopped; on a GPU with
    XLA's `--xla_gpu_deterministic_ops=true` only, which the programs set.

    Args:
        task: what to train, over the dataset's vocabulary.
        dataset: the data.
        devices: where to compute.
        run: an existing folder, for checkpoints, metrics and logits.
        options: how long to train.
        stop_requested: asked after every call, of one step or several (see
            `training.feed`); True saves and raises `Interrupted`.
        advance: called with the rows of each call, and a note with the loss.

    Returns:
        'validation' and 'test' metrics (or None) of the best checkpoint by the
        monitored metric, whose logits are left in `run` too, 'epochs', 'steps', 'best_step'
        (that of this checkpoint),
        'examples_per_second' (training alone, without compilation and the first step;
        None if this call made no further one), 'compilations' (how many programs were
        compiled), 'compilations_cached' (how many of them jax had kept from an earlier
        process), 'compile_seconds' (for all of them), 'params'.

    Raises:
        InputError: as `check`; the model's logits or tables are not as
            `afm_jax.model_rules` says; the loss, or a logit in an evaluation, is no longer
            finite; or the checkpoints are of another model or schema or of more epochs.
        Interrupted: see `stop_requested`.
    """
    check(task, dataset, devices, options)
    # Its shapes alone: a state on the host would double what a run holds.
    features = dataset.splits["train"].batch(0, 0).features
    example = jax.eval_shape(
        functools.partial(states.create, task.model, task.tx),
        features,
        jax.random.key(options.seed),
    )
    _check_shapes(task, example, features)
    with run.open_checkpoints(dataset.schema, monitor=options.monitor) as checkpoints:
        task, example = _catching_up(task, example, checkpoints)
        state, progress = _start(task, dataset, devices, options, checkpoints, example)
        if progress.epochs > options.epochs:
            raise InputError(
                f"{run.path} has trained {progress.epochs} epochs, found epochs={options.epochs}; train the fewer in another folder."
            )
        divergence = Divergence(task, dataset.splits, checkpoints.latest_step)
        trainer = Trainer(
            task, dataset, devices, state, divergence, placement=options.data_placement
        )
        with contextlib.closing(
            run.open_metrics_log(step=states.steps_made(state), written=progress.lines)
        ) as log:
            save = functools.partial(_save, checkpoints, devices, progress, log)
            losses = CheckLosses(divergence)
            log_loss = LogLoss(
                task,
                log,
                losses,
                every=options.log_every,
                epoch_steps=dataset.splits["train"].steps_per_epoch,
            )
            saving = SaveCheckpoint(save, losses, every=options.checkpoint_every)
            after_a_call: tuple[Action, ...] = (
                losses,
                log_loss,
                FirstCall(trainer.clock),
                Advance(advance),
                saving,
                Stop(stop_requested, saving),
                trainer.clock,
            )
            while not progress.is_over(options):
                state = trainer.train(state, progress.epochs, after_a_call)
                state = _end_epoch(
                    trainer, state, progress, options, log, log_loss, save
                )
                if stop_requested() and not progress.is_over(options):
                    raise Interrupted(f"Stopped after epoch {progress.epochs}.")
            steps_made = states.steps_made(state)
        checkpoints.wait()
        best_step = checkpoints.best_step() or steps_made
        if best_step != steps_made:
            del state
            best_step, placed, _ = checkpoints.restore_best(
                example, place=devices.place_leaf
            )
            state = devices.join_placed(placed)
        final: dict[str, Any] = {"validation": None, "test": None}
        for name in [name for name in final if name in dataset.splits]:
            logits, final[name] = trainer.evaluate(state, name)
            run.write_logits(name, logits)
    return {
        **final,
        "epochs": progress.epochs,
        "steps": steps_made,
        "best_step": best_step,
        "examples_per_second": trainer.clock.rate(),
        "compilations": devices.compilations.count,
        "compilations_cached": devices.compilations.cached,
        "compile_seconds": round(devices.compilations.seconds, 2),
        "params": states.num_params(example.params),
    }


def check(task: Task, dataset: Dataset, devices: Devices, options: Options) -> None:
    """Checks, before anything is computed, what a run cannot be trained with.

    Raises:
        InputError: a label is none for the loss; the monitored metric is not measured
            under it; or the devices cannot share a batch.
    """
    dataset.check_labels(task.made_loss)
    options.check_monitor(
        task.made_loss,
        groups="validation" in dataset.groups,
        label_kind=dataset.schema.label_kind,
    )
    for split in dataset.splits.values():
        devices.check_batch_size(split.batch_size)


def _check_shapes(task: Task, example: TrainState, features: Features) -> None:
    """Raises InputError for logits, tables or an optimizer that training cannot use."""
    variables = {"params": example.params, **example.model_state}
    model_rules.check_logits(task.model, variables, features)
    suspect = any(
        task.model.vocab_size in leaf.shape
        for where, leaf in leaves.by_name(variables).items()
        if not where.endswith("/table")
    )
    if suspect and task.table_update != "dense":
        model_rules.check_tables(task.model, features)
    optimizers.check(task.tx, example.params, example.opt_state)


def _catching_up(
    task: Task, example: TrainState, checkpoints: Checkpoints
) -> tuple[Task, TrainState]:
    """The task and the state that say how table rows catch up, if they do.

    A run whose checkpoints are without that goes on as it began, lazily.
    """
    if catch_up.of(task, example.params) is None:
        if task.table_update == "rows":
            reason = resting.find(task.tx, example.params)
            if isinstance(reason, str):
                _log.warning("Table rows that a batch does not use rest: %s.", reason)
        return task, example
    saved = checkpoints.saved_leaves()
    if saved is not None and "last_use/table" not in saved:
        _log.info("This run began with table_update=lazy, and goes on so.")
        return dataclasses.replace(task, table_update="lazy"), example
    last_use = jax.eval_shape(states.up_to_date, example.params)
    return task, example._replace(last_use=last_use)


def _start(
    task: Task,
    dataset: Dataset,
    devices: Devices,
    options: Options,
    checkpoints: Checkpoints,
    example: TrainState,
) -> tuple[TrainState, Progress]:
    """The state to train from, on the devices: the newest checkpoint's, or a fresh one."""
    if checkpoints.latest_step() is not None:
        found, placed, saved = checkpoints.restore(example, place=devices.place_leaf)
        _log.info("Going on from step %d.", found)
        return devices.join_placed(placed), Progress(**saved)
    base = (
        dataset.best_constant(task.made_loss) if options.base_logit == "auto" else 0.0
    )
    state = devices.create_state(
        task.model,
        task.tx,
        dataset.splits["train"].batch(0, 0).features,
        jax.random.key(options.seed),
        base_logit=base,
        catches_up=example.last_use is not None,
    )
    if options.tables:
        host = devices.gather_state(state)
        params = states.put_tables(host.params, options.tables)
        state = devices.place_state(host._replace(params=params))
    return state, Progress()


def _end_epoch(
    trainer: Trainer,
    state: TrainState,
    progress: Progress,
    options: Options,
    log: MetricsLog,
    log_loss: LogLoss,
    save: Callable[..., None],
) -> TrainState:
    """What follows an epoch: metrics, the next learning rate, a checkpoint."""
    state = trainer.end_epoch(state)
    metrics = None
    if "validation" in trainer.dataset.splits:
        _, metrics = trainer.evaluate(state, "validation")
    better, step = (
        progress.evaluated(metrics, options.monitor),
        states.steps_made(state),
    )
    _log.info(messages.epoch(progress, options, log_loss.loss, metrics))
    if not better:
        scale = state.learning_rate_scale * options.plateau_factor
        state = state._replace(learning_rate_scale=scale)
    if progress.is_over(options):
        if progress.epochs < options.epochs:
            _log.info(messages.stopped(progress, options))
    elif not better and options.plateau_factor != 1:
        rate = log_loss.learning_rate(state, step)
        _log.info(messages.learning_rate_cut(options, rate))
    log.write(step, {"epoch": progress.epochs, "validation": metrics})
    trainer.devices.compilations.log()
    save(state, metrics)
    return state


def _save(
    checkpoints: Checkpoints,
    devices: Devices,
    progress: Progress,
    log: MetricsLog,
    state: TrainState,
    metrics: Mapping[str, float | None] | None = None,
) -> None:
    checkpoints.save(
        states.steps_made(state),
        devices.view_state(state),
        dataclasses.asdict(progress) | {"lines": log.checksums},
        metrics,
    )
