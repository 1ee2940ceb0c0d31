"""Trains a model, or goes on with training it, and evaluates it.

    python -m experiments.train --model=afm_deep
    python -m experiments.train --model=afm --dataset=frappe --data_dir=prepared

Without --data_dir it trains on embedded synthetic data, whose best possible metrics are
known and stand in the result beside the model's own.
"""

import functools
import pathlib
import sys
import time
from typing import Any

from absl import flags

from afm_jax.errors import InputError
from afm_jax.ops import losses
from afm_jax.training import (
    best,
    feed,
    loop,
    optimizers,
    progress,
    steps,
)
from afm_jax.training.devices import DEVICE_MAPS, TABLE_SHARDINGS, Devices
from experiments import resuming, runs, startup, workdirs
from experiments.cli import program, signals
from experiments.cli.progress import show_progress

FLAGS = flags.FlagValues()

_string = functools.partial(flags.DEFINE_string, flag_values=FLAGS)
_strings = functools.partial(flags.DEFINE_multi_string, flag_values=FLAGS)
_boolean = functools.partial(flags.DEFINE_boolean, flag_values=FLAGS)
_integer = functools.partial(flags.DEFINE_integer, flag_values=FLAGS)
_float = functools.partial(flags.DEFINE_float, flag_values=FLAGS)
_enum = functools.partial(flags.DEFINE_enum, flag_values=FLAGS)

_MODEL = _string("model", "afm_deep", "Name of the model.")
_SET = _strings("set", [], "Hyperparameter of the model, name=value; repeatable.")
_DATASET = _string("dataset", runs.SYNTHETIC, "Name of the prepared data set.")
_DATA_DIR = _string("data_dir", None, "Folder that data.prepare wrote.")
_WORKDIR = _string(
    "workdir",
    None,
    "Folder for checkpoints and metrics; by default a new one under runs/.",
)
_RESUME = _boolean(
    "resume",
    False,
    "Go on with the run in --workdir, whose flags hold where none are given, or start one if there is none.",
)
_INIT_FROM = _string(
    "init_from",
    None,
    "Folder of a run on the same data whose tables to start from, of the best checkpoint; {seed} in it stands for --seed.",
)
_EPOCHS = _integer(
    "epochs", 5, "Passes over the training rows, at most.", lower_bound=1
)
_BATCH_SIZE = _integer("batch_size", 1024, "Rows of a batch.", lower_bound=1)
_OPTIMIZER = _enum(
    "optimizer",
    "adam",
    optimizers.OPTIMIZERS,
    "With row updates Adam is lazy: rows that do not occur rest.",
)
_LEARNING_RATE = _float(
    "learning_rate", 3e-3, "Learning rate per step.", lower_bound=0.0
)
_SCHEDULE = _enum(
    "schedule",
    "constant",
    optimizers.SCHEDULES,
    "Course of the learning rate after the warm-up.",
)
_WARMUP_STEPS = _integer(
    "warmup_steps", 0, "Steps in which the learning rate rises from 0.", lower_bound=0
)
_TABLE_L2 = _float(
    "table_l2", 0.0, "L2 strength on tables (decay for adamw).", lower_bound=0.0
)
_L2 = _float(
    "l2", 0.0, "L2 strength on all other parameters (decay for adamw).", lower_bound=0.0
)
_ATTENTION_L2 = _float(
    "attention_l2",
    0.0,
    "L2 strength on the kernel of AFM's attention network, beside --l2.",
    lower_bound=0.0,
)
_CLIP_NORM = _float(
    "clip_norm", 10.0, "Largest norm of the gradient; 0 does not clip.", lower_bound=0.0
)
_LOSS = _enum(
    "loss",
    "sigmoid_cross_entropy",
    losses.names(),
    "The loss; squared_error is on -1/1 as in the AFM paper.",
)
_TABLE_UPDATE = _enum(
    "table_update",
    "rows",
    steps.TABLE_UPDATES,
    "'rows' updates the rows of the batch; 'dense' whole tables.",
)
_COMPUTE_DTYPE = _enum(
    "compute_dtype",
    "float32",
    steps.COMPUTE_DTYPES,
    "'bfloat16' rounds the operands of hidden layers' products and of cross matrices; all else stays float32.",
)
_DEVICE_MAP = _enum(
    "device_map", "mesh", DEVICE_MAPS, "How the step runs on several devices."
)
_TABLE_SHARDING = _enum(
    "table_sharding",
    "replicated",
    TABLE_SHARDINGS,
    "Tables whole on every device, or split by rows.",
)
_DATA_PLACEMENT = _enum(
    "data_placement",
    "auto",
    feed.PLACEMENTS,
    "Training rows on the host, read ahead, or all on the device; auto: on a device with the memory.",
)
_MONITOR = _enum(
    "monitor", "auc", best.MONITORS, "The validation metric that tells the best epoch."
)
_PATIENCE = _integer(
    "patience",
    2,
    "Stop after so many evaluations that are not the best so far; 0: never.",
    lower_bound=0,
)
_PLATEAU_FACTOR = _float(
    "plateau_factor",
    0.1,
    "Learning rate factor after such an evaluation.",
    lower_bound=0.0,
    upper_bound=1.0,
)
_CHECKPOINT_EVERY = _integer(
    "checkpoint_every",
    0,
    "Steps between checkpoints, beside one an epoch.",
    lower_bound=0,
)
_LOG_EVERY = _integer(
    "log_every", 100, "Steps between lines of the training loss.", lower_bound=1
)
_GROUP_FIELD = _string(
    "group_field", None, "Field, such as user, within whose values GAUC ranks."
)
_BASE_LOGIT = _enum(
    "base_logit",
    "auto",
    progress.BASE_LOGITS,
    "A constant added to every logit: 'auto' takes the log odds of the training labels (the mean target under squared_error), so that rare clicks are predicted as rare from the first step. '0' adds nothing, as published models do.",
)
_UNTRAINED_ROWS = _enum(
    "untrained_rows",
    "mean",
    runs.UNTRAINED_ROWS,
    "What becomes of table rows that no training row uses, such as those for unseen and missing values: 'mean' sets them after each epoch to the mean of their field's trained rows, 'keep' leaves them at their random start.",
)
_SEED = _integer(
    "seed",
    0,
    "Of initialisation, dropout and order of the rows.",
    lower_bound=0,
    upper_bound=2**32 - 1,
)


def main() -> dict[str, Any]:
    """Trains as the flags and, with --resume, the run say; returns the result."""
    startup.prepare()
    if _RESUME.value:
        resuming.take_flags(FLAGS, config(), _workdir())
    return run()


def run() -> dict[str, Any]:
    """Trains as the flags say, in a process that is prepared; returns the result."""
    store = runs.open_data(_DATASET.value, _DATA_DIR.value)
    schema = store.schema
    model = runs.make_model(_MODEL.value, _SET.value, schema)
    devices = Devices(
        schema.vocab_size,
        device_map=_DEVICE_MAP.value,
        table_sharding=_TABLE_SHARDING.value,
    )
    splits = runs.loaders(store, _BATCH_SIZE.value, _SEED.value, devices=devices.count)
    dataset = runs.dataset(
        store,
        splits,
        group_field=_GROUP_FIELD.value,
        untrained_rows=_UNTRAINED_ROWS.value,
    )
    learning_rate = optimizers.make_schedule(
        _SCHEDULE.value,
        _LEARNING_RATE.value,
        warmup_steps=_WARMUP_STEPS.value,
        total_steps=_EPOCHS.value * splits["train"].steps_per_epoch,
    )
    tx = optimizers.make(
        _OPTIMIZER.value,
        learning_rate,
        table_l2=_TABLE_L2.value,
        l2=_L2.value,
        attention_l2=_ATTENTION_L2.value,
        clip_norm=_CLIP_NORM.value,
    )
    options = progress.Options(
        epochs=_EPOCHS.value,
        loss=_LOSS.value,
        table_update=_TABLE_UPDATE.value,
        compute_dtype=_COMPUTE_DTYPE.value,
        monitor=_MONITOR.value,
        patience=_PATIENCE.value,
        plateau_factor=_PLATEAU_FACTOR.value,
        checkpoint_every=_CHECKPOINT_EVERY.value,
        data_placement=_DATA_PLACEMENT.value,
        log_every=_LOG_EVERY.value,
        base_logit=_BASE_LOGIT.value,
        seed=_SEED.value,
    )
    workdir = _workdir()
    devices.check_batch_size(_BATCH_SIZE.value)
    tables = {}
    if _INIT_FROM.value is not None and not (
        _RESUME.value and workdirs.has_checkpoint(workdir)
    ):
        other = pathlib.Path(_INIT_FROM.value.replace("{seed}", str(_SEED.value)))
        features = splits["train"].batch(0, 0).features
        tables = runs.tables_for(model, other, schema, features)
    rows = _EPOCHS.value * splits["train"].num_rows
    with workdirs.held(workdir):
        resume = _RESUME.value and workdirs.is_run(workdir)
        workdirs.start(workdir, config(), schema, resume=resume)
        with (
            signals.stop_requested() as stop,
            show_progress("Training", rows) as advance,
        ):
            try:
                result = loop.train_and_evaluate(
                    model,
                    tx,
                    learning_rate,
                    devices,
                    dataset,
                    workdir,
                    options,
                    tables=tables,
                    stop_requested=stop.is_set,
                    advance=advance,
                )
            except loop.Interrupted as interrupted:
                command = resuming.command(workdir)
                print(f"{interrupted} Go on with: {command}", file=sys.stderr)
                raise KeyboardInterrupt from None
        result = {
            "model": _MODEL.value,
            "dataset": _DATASET.value,
            "validation": result.pop("validation"),
            "test": result.pop("test"),
            "best_possible": runs.best_possible(store, _LOSS.value),
            **result,
            "workdir": str(workdir),
        }
        workdirs.finish(workdir, result)
    return result


def config() -> dict[str, Any]:
    """The flags that say what is trained, as a run's config.json holds them."""
    apart = ("workdir", "resume", "flagfile", "undefok")
    return {name: FLAGS[name].value for name in FLAGS if name not in apart}


def _workdir() -> pathlib.Path:
    if _WORKDIR.value is not None:
        return pathlib.Path(_WORKDIR.value)
    if _RESUME.value:
        raise InputError("--resume needs --workdir, the folder of the run.")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return pathlib.Path("runs") / f"{_MODEL.value}-{_DATASET.value}-{stamp}"


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
