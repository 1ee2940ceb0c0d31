"""The training loop: start or go on, epoch by epoch, and evaluate the best."""

import contextlib
import functools
import logging
import pathlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn

from afm_jax.errors import InputError
from afm_jax.training import evaluation
from afm_jax.training import state as states
from afm_jax.training.checkpoints import Checkpoints
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.metrics_log import MetricsLog, write_logits
from afm_jax.training.progress import Options, Progress
from afm_jax.training.trainer import Interrupted, Trainer

_log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
"""The folder of the checkpoints in a working directory."""


def train_and_evaluate(
    model: nn.Module,
    tx: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    devices: Devices,
    dataset: Dataset,
    workdir: pathlib.Path,
    options: Options,
    *,
    tables: Mapping[str, np.ndarray] = MappingProxyType({}),
    stop_requested: Callable[[], bool] = lambda: False,
    advance: Callable[[int, str], None] = lambda rows, note: None,
) -> dict[str, Any]:
    """Trains a model, or goes on with training it, and evaluates the best checkpoint.

    If `workdir` holds checkpoints, training goes on from the newest that is not
    damaged, and ends with the same parameters, to the bit, as if it had not stopped;
    on a GPU with XLA's `--xla_gpu_deterministic_ops=true` only, which the programs set.

    Args:
        model: a model over the dataset's schema.
        tx: the optimizer, made with `learning_rate`.
        learning_rate: the schedule, for the record.
        devices: where to compute.
        dataset: the data.
        workdir: an existing folder for checkpoints and metrics.
        options: how to train.
        tables: tables by name that a fresh run starts from; see `state.put_tables`.
        stop_requested: asked after every call, of one step or several (see
            `training.feed`); True saves and raises `Interrupted`.
        advance: called with the rows of each call, and a note with the loss.

    Returns:
        'validation' and 'test' metrics (or None) of the best checkpoint by the
        monitored metric, whose logits are left in `workdir` too (see
        `metrics_log.write_logits`), 'epochs', 'steps', 'examples_per_second' (training
        alone, without compilation and the first step; None if this call made no further
        one), 'compilations' (how many programs were compiled), 'compilations_cached'
        (how many of them jax had kept from an earlier process), 'compile_seconds' (for
        all of them), 'params'.

    Raises:
        InputError: a label is none for the loss; the loss, or a logit in an evaluation,
            is no longer finite; or the checkpoints are of another model or schema or of
            more epochs.
        Interrupted: see `stop_requested`.
    """
    splits = dataset.splits
    dataset.check_labels(options.loss)
    for split in splits.values():
        devices.check_batch_size(split.batch_size)
    features = splits["train"].batch(0, 0).features
    base = dataset.best_constant(options.loss) if options.base_logit == "auto" else 0.0
    # Its shapes alone: a state on the host would double what a run holds.
    key = jax.random.key(options.seed)
    example = jax.eval_shape(functools.partial(states.create, model, tx), features, key)
    with Checkpoints(
        workdir / CHECKPOINTS, dataset.schema, monitor=options.monitor
    ) as checkpoints:
        progress = Progress()
        if checkpoints.latest_step() is not None:
            found, placed, saved = checkpoints.restore(
                example, place=devices.place_leaf
            )
            state, progress = devices.join_placed(placed), Progress(**saved)
            if progress.epochs > options.epochs:
                raise InputError(
                    f"{workdir} has trained {progress.epochs} epochs, found epochs={options.epochs}; train the fewer in another folder."
                )
            _log.info("Going on from step %d.", found)
        else:
            state = devices.create_state(model, tx, features, key, base_logit=base)
            if tables:
                state = _with_tables(state, tables, devices)
        with contextlib.closing(
            MetricsLog(workdir, step=states.steps_made(state), written=progress.lines)
        ) as metrics_log:
            trainer = Trainer(
                model.clone(vocab_size=devices.num_table_rows),
                tx,
                learning_rate,
                devices,
                dataset,
                options,
                state,
                checkpoints,
                metrics_log,
            )
            while not progress.is_over(options):
                state = trainer.train(state, progress, stop_requested, advance)
                state = trainer.evaluate(state, progress)
                if stop_requested() and not progress.is_over(options):
                    raise Interrupted(f"Stopped after epoch {progress.epochs}.")
            steps_made = states.steps_made(state)
        checkpoints.wait()
        if checkpoints.best_step() not in (None, steps_made):
            del state
            _, placed, _ = checkpoints.restore_best(example, place=devices.place_leaf)
            state = devices.join_placed(placed)
        final: dict[str, Any] = {"validation": None, "test": None}
        for name in [name for name in final if name in splits]:
            columns = trainer.logits(state, name)
            write_logits(workdir, name, columns[0])
            final[name] = evaluation.metrics_of(*columns, loss=options.loss)
    return {
        **final,
        "epochs": progress.epochs,
        "steps": steps_made,
        "examples_per_second": trainer.clock.rate(),
        "compilations": devices.compilations.count,
        "compilations_cached": devices.compilations.cached,
        "compile_seconds": round(devices.compilations.seconds, 2),
        "params": states.num_params(example.params),
    }


def _with_tables(
    state: states.TrainState, tables: Mapping[str, np.ndarray], devices: Devices
) -> states.TrainState:
    """The state with some of its tables replaced."""
    host = devices.gather_state(state)
    return devices.place_state(
        host._replace(params=states.put_tables(host.params, tables))
    )
