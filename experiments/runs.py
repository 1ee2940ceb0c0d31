"""What flags, or the config of a run, name: data, model, variables."""

import ast
import logging
import os
import pathlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax import models
from afm_jax.data import synthetic
from afm_jax.data.loader import Loader
from afm_jax.data.store.reader import Store, open_store
from afm_jax.errors import InputError, did_you_mean
from afm_jax.features import Features, Rows, Schema
from afm_jax.ops import losses
from afm_jax.ops.losses import Loss
from afm_jax.training import evaluation, leaves, state
from afm_jax.training.dataset import Dataset
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run

_log = logging.getLogger(__name__)

SYNTHETIC = "synthetic"
UNTRAINED_ROWS = ("mean", "keep")


def open_data(dataset: str, data_dir: str | None) -> Store:
    """The store of that name; without a folder, the embedded synthetic data.

    Raises:
        InputError: no such store, or no folder to look for it in.
    """
    if data_dir is not None:
        return open_store(pathlib.Path(data_dir), dataset)
    if dataset != SYNTHETIC:
        raise InputError(
            f"--dataset={dataset} needs --data_dir, the folder that data.prepare wrote; without it there is --dataset={SYNTHETIC} only."
        )
    return synthetic.make()


def rows_of(store: Store, dataset: str, split: str) -> Rows:
    """The rows of a split.

    Raises:
        InputError: the store has no such split.
    """
    if split not in store.splits:
        raise InputError(
            f"{dataset} has no split {split!r}; it has {tuple(store.splits)}.{did_you_mean(split, store.splits)}"
        )
    return store.splits[split]


def loaders(
    store: Store, batch_size: int, seed: int, *, devices: int = 1
) -> dict[str, Loader]:
    """A loader for each split, for so many devices; only training rows are shuffled.

    The batch size is capped at the rows of a split.
    """
    found = {
        name: Loader(
            rows, batch_size, seed=seed, shuffle=name == "train", multiple=devices
        )
        for name, rows in store.splits.items()
    }
    log_if_capped(batch_size, found["train"], "train")
    return found


def log_if_capped(batch_size: int, loader: Loader, split: str) -> None:
    """Logs a line if a split has fewer rows than a batch was to have."""
    if loader.batch_size < batch_size:
        _log.info(
            "The %s split has %d rows: --batch_size=%d is capped at %d.",
            split,
            loader.num_rows,
            batch_size,
            loader.batch_size,
        )


def best_possible(store: Store, loss: Loss) -> dict[str, Any] | None:
    """What a model that knows the truth would reach on the evaluated splits, if known."""
    found = {
        name: evaluation.best_possible(
            probabilities, store.splits[name].labels, loss=loss
        )
        for name, probabilities in store.probabilities.items()
        if name != "train"
    }
    return found or None


def make_model(name: str, settings: Sequence[str], schema: Schema) -> nn.Module:
    """The model over the data's vocabulary, with hyperparameters from name=value texts.

    Raises:
        InputError: as `read_settings`; a hyperparameter that the data decide; as `models.make`; or hyperparameters that do
            not fit one another or the data.
    """
    values = read_settings("set", settings)
    for key in ("vocab_size", "slot_fields"):
        if key in values:
            raise InputError(f"--set={key}={values[key]}: {key} comes from the data.")
    slots = len(schema.slot_fields)
    if slots > len(schema.fields):
        values["slot_fields"] = schema.slot_fields
    model = models.make(name, vocab_size=schema.vocab_size, **values)
    dense = np.zeros((1, len(schema.dense)), np.float32)
    features = Features(np.zeros((1, slots), np.int32), None, dense)
    with warnings.catch_warnings(action="ignore"):  # of sizes that are refused below
        variables = jax.eval_shape(model.init, jax.random.key(0), features)
    _check_memory(name, variables)
    return model


def read_settings(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    """What the texts name=value of a repeatable flag set.

    Raises:
        InputError: a text that is not name=value.
    """
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--{flag}={text}: expected --{flag}=name=value.")
        values[key] = _value(value)
    return values


def loss_of(config: Mapping[str, Any]) -> Loss:
    """The loss that a run is trained with.

    Raises:
        InputError: there is none of this name, or it has no such number.
    """
    return losses.make(config["loss"], **read_settings("loss_set", config["loss_set"]))


def dataset(
    store: Store,
    splits: Mapping[str, Loader],
    *,
    group_field: str | None,
    untrained_rows: str,
) -> Dataset:
    """The data of a run.

    Args:
        store: the data.
        splits: what `loaders` gave for it.
        group_field: the field within whose values GAUC ranks, or None.
        untrained_rows: one of `UNTRAINED_ROWS`: 'mean' sets table rows that no training
            row uses to the mean of their field, 'keep' leaves them as they start.

    Raises:
        InputError: as `groups`.
    """
    counts = store.counts if untrained_rows == "mean" else None
    evaluated = [name for name in splits if name != "train"]
    return Dataset(store.schema, splits, counts, groups(store, evaluated, group_field))


def groups(
    store: Store, splits: Iterable[str], field_name: str | None
) -> dict[str, np.ndarray]:
    """The group of each row of some splits, its raw value of a field; none without one.

    Raises:
        InputError: no such field, or one with several values a row.
    """
    if field_name is None:
        return {}
    try:
        return {split: store.groups(split, field_name) for split in splits}
    except KeyError as error:
        raise InputError(f"--group_field: {error.args[0]}.") from None
    except InputError as error:
        raise InputError(f"--group_field: {error}") from None


def restore(
    workdir: pathlib.Path, schema: Schema, features: Features, step: int | None = None
) -> tuple[nn.Module, int, dict[str, Any]]:
    """The model of a run, and a step of it with its variables.

    Args:
        workdir: of the run.
        schema: of the data; must be that of the run.
        features: of the data, for their shapes.
        step: of the checkpoint; None: the best by the run's monitored metric, or the
            newest.

    Raises:
        InputError: there is no such checkpoint, or it is of another schema.
    """
    run = Run(workdir)
    config = read_config(run)
    model = make_model(config["model"], config["set"], schema)
    example = dict(jax.eval_shape(model.init, jax.random.key(0), features))
    fields = {
        "params": example.pop("params"),
        "model_state": example,
        "base_logit": state.NO_BASE_LOGIT,
    }
    with run.open_checkpoints(
        schema, monitor=config["monitor"], read_only=True
    ) as checkpoints:
        step, fields = checkpoints.restore_fields(
            fields, checkpoints.best_step() if step is None else step
        )
    return model, step, state.variables_of(**fields)


def tables_for(
    model: nn.Module, workdir: pathlib.Path, schema: Schema, features: Features
) -> dict[str, np.ndarray]:
    """The tables of a run's best checkpoint that a new model has too, by name.

    Args:
        model: the new model.
        workdir: of the run, trained on data of this schema.
        schema: of the data.
        features: of the data, for their shapes.

    Raises:
        InputError: as `restore`; or no table agrees in name and shape.
    """
    _, step, variables = restore(workdir, schema, features)
    theirs = _tables(variables["params"])
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)["params"]
    ours = {name: table.shape for name, table in _tables(shapes).items()}
    found = {n: t for n, t in theirs.items() if ours.get(n) == t.shape}
    if not found:
        shapes = {name: table.shape for name, table in theirs.items()}
        raise InputError(
            f"--init_from={workdir} has no table for this model: its tables are {shapes or 'none'}, the model's {ours or 'none'}."
        )
    _log.info("From step %d of %s: %s.", step, workdir, ", ".join(found))
    return found


def _tables(params: Any) -> dict[str, Any]:
    is_one = leaves.by_name(state.tables(params))
    return {n: leaf for n, leaf in leaves.by_name(params).items() if is_one[n]}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _check_memory(name: str, variables: Any) -> None:
    """Raises InputError for a model that this machine surely has no room for."""
    needed = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(variables))
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    there = max(host, sum(each.get("bytes_limit", 0) for each in stats))
    if needed > there:
        raise InputError(
            f"{name} needs {_gigabytes(needed)} for its parameters, and this machine has {_gigabytes(there)}; make it smaller by --set, or the vocabulary by a higher --min_count of data.prepare."
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.0f} GB"
