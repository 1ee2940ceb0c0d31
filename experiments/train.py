"""Trains a model, or goes on with training it, and evaluates it.

    python -m experiments.train --model=afm_deep
    python -m experiments.train --model=afm --dataset=frappe --data_dir=prepared

Without --data_dir it trains on embedded synthetic data, whose best possible metrics are
known and stand in the result beside the model's own.
"""

import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from afm_jax import hyperparameters
from afm_jax.errors import InputError
from afm_jax.ops import losses
from afm_jax.ops.losses import Loss
from afm_jax.training import actions, loop, optimizers, progress
from afm_jax.training.devices import Devices
from afm_jax.training.run.folder import Run
from afm_jax.training.task import Task
from experiments import (
    asked,
    own_code,
    provenance,
    resuming,
    runs,
    startup,
    summary,
    workdirs,
)
from experiments.cli import program, signals
from experiments.cli.progress import show_progress
from experiments.train_flags import FLAGS


def main() -> dict[str, Any]:
    """Trains as the flags and, with --resume, the run say; returns the result."""
    startup.prepare()
    asked.answer(asked.told(FLAGS))
    if FLAGS.resume:
        resuming.take_flags(FLAGS, config(), _workdir())
    return run()


def run() -> dict[str, Any]:
    """Trains as the flags say, in a process that is prepared; returns the result."""
    store = runs.open_data(FLAGS.dataset, FLAGS.data_dir)
    schema = store.schema
    model = runs.make_model(own_code.load("model", FLAGS.model), FLAGS.set, schema)
    devices = Devices(
        schema.vocab_size,
        device_map=FLAGS.device_map,
        table_sharding=FLAGS.table_sharding,
    )
    dataset = runs.dataset(
        store,
        batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
        devices=devices.count,
        group_field=FLAGS.group_field,
        untrained_rows=FLAGS.untrained_rows,
    )
    train_split = dataset.splits["train"]
    task = make_task(model, FLAGS.epochs * train_split.steps_per_epoch)
    folder = Run(_workdir())
    devices.check_batch_size(FLAGS.batch_size)
    tables = {}
    if FLAGS.init_from is not None and not (FLAGS.resume and folder.steps()):
        other = pathlib.Path(FLAGS.init_from.replace("{seed}", str(FLAGS.seed)))
        tables = runs.tables_for(model, other, schema)
    options = _options(tables)
    rows = FLAGS.epochs * train_split.num_rows
    origin, began = provenance.describe(), time.monotonic()
    with workdirs.held(folder.path):
        resume = FLAGS.resume and folder.exists()
        workdirs.start(folder.path, config(), schema, resume=resume)
        store.vocabularies.save(folder.vocabularies)
        loop.check(task, dataset, devices, options)
        summary.tell_data(store)
        summary.tell_task(task, dataset, folder)
        with (
            signals.stop_requested() as stop,
            show_progress("Training", rows) as advance,
        ):
            try:
                result = loop.train_and_evaluate(
                    task,
                    dataset,
                    devices,
                    folder,
                    options,
                    stop_requested=stop.is_set,
                    advance=advance,
                )
            except actions.Interrupted as interrupted:
                command = resuming.command(folder.path)
                print(f"{interrupted} Go on with: {command}", file=sys.stderr)
                raise KeyboardInterrupt from None
        result = {
            "model": FLAGS.model,
            "dataset": FLAGS.dataset,
            "validation": result.pop("validation"),
            "test": result.pop("test"),
            "best_possible": runs.best_possible(store, task.made_loss),
            **result,
            "seed": FLAGS.seed,
            "seconds": round(time.monotonic() - began - result["compile_seconds"], 2),
            **origin,
            "workdir": str(folder.path),
        }
        summary.tell_result(result)
        workdirs.finish(folder.path, result)
    return result


def make_task(model: nn.Module, total_steps: int) -> Task:
    """The task that the flags say, of a run of so many steps."""
    learning_rate = optimizers.make_schedule(
        FLAGS.schedule,
        FLAGS.learning_rate,
        warmup_steps=FLAGS.warmup_steps,
        total_steps=total_steps,
    )
    tx = optimizers.make(
        FLAGS.optimizer,
        learning_rate,
        table_l2=FLAGS.table_l2,
        l2=FLAGS.l2,
        attention_l2=FLAGS.attention_l2,
        clip_norm=FLAGS.clip_norm,
        numbers=hyperparameters.read("optimizer_set", FLAGS.optimizer_set),
    )
    return Task(
        model,
        loss=make_loss(),
        optimizer=tx,
        learning_rate=learning_rate,
        table_update=FLAGS.table_update,
        compute_dtype=FLAGS.compute_dtype,
    )


def make_loss() -> Loss:
    """The loss that the flags say."""
    numbers = hyperparameters.read("loss_set", FLAGS.loss_set)
    return losses.make(own_code.load("loss", FLAGS.loss), **numbers)


def _options(tables: Mapping[str, np.ndarray]) -> progress.Options:
    return progress.Options(
        epochs=FLAGS.epochs,
        monitor=FLAGS.monitor,
        patience=FLAGS.patience,
        plateau_factor=FLAGS.plateau_factor,
        checkpoint_every=FLAGS.checkpoint_every,
        data_placement=FLAGS.data_placement,
        log_every=FLAGS.log_every,
        base_logit=FLAGS.base_logit,
        seed=FLAGS.seed,
        tables=tables,
    )


def config() -> dict[str, Any]:
    """The flags that say what is trained, as a run's config.json holds them."""
    apart = ("workdir", "resume", "flagfile", "undefok")
    found = {name: FLAGS[name].value for name in FLAGS if name not in apart}
    return found | own_code.checksums(found)


def _workdir() -> pathlib.Path:
    if FLAGS.workdir is not None:
        return pathlib.Path(FLAGS.workdir)
    if FLAGS.resume:
        raise InputError("--resume needs --workdir, the folder of the run.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{FLAGS.model}-{FLAGS.dataset}-{stamp}"


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
