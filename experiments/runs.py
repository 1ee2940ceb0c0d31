"""What flags, or the config of a run, name: data, model, variables."""

import logging
import os
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax import api, hyperparameters, models
from afm_jax.data import synthetic
from afm_jax.data.loader import Loader
from afm_jax.data.store.reader import Store, open_store
from afm_jax.errors import InputError, did_you_mean
from afm_jax.features import Rows, Schema
from afm_jax.inference import restoring
from afm_jax.ops.losses import Loss
from afm_jax.training import evaluation, leaves, state
from afm_jax.training.dataset import Dataset
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


def make_model(
    name: str | type[nn.Module], texts: Sequence[str], schema: Schema
) -> nn.Module:
    """The model over the data's vocabulary, with hyperparameters from name=value texts.

    Raises:
        InputError: a text that is not name=value; as `models.make`; or hyperparameters
            that do not fit one another, the data, or this machine.
    """
    model = models.make(name, schema=schema, **hyperparameters.read("set", texts))
    features = restoring.example_features(schema)
    with warnings.catch_warnings(action="ignore"):  # of sizes that are refused below
        variables = jax.eval_shape(model.init, jax.random.key(0), features)
    _check_memory(type(model).__name__ if isinstance(name, type) else name, variables)
    return model


def dataset(
    store: Store,
    *,
    batch_size: int,
    seed: int,
    devices: int,
    group_field: str | None,
    untrained_rows: str,
) -> Dataset:
    """The data of a run, as `api.dataset_of` gives them.

    Args:
        store: the data.
        batch_size: rows of a batch, capped at those of a split.
        seed: of the order of the training rows.
        devices: how many share a batch.
        group_field: the field within whose values GAUC ranks, or None.
        untrained_rows: one of `UNTRAINED_ROWS`: 'mean' sets table rows that no training
            row uses to the mean of their field, 'keep' leaves them as they start.

    Raises:
        InputError: no training rows; or as `groups`.
    """
    found = api.dataset_of(
        store,
        batch_size=batch_size,
        seed=seed,
        devices=devices,
        fill_untrained=untrained_rows == "mean",
    )
    train = found.splits["train"]
    assert isinstance(train, Loader)
    log_if_capped(batch_size, train, "train")
    evaluated = [split for split in store.splits if split != "train"]
    return found._replace(groups=groups(store, evaluated, group_field))


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


def tables_for(
    model: nn.Module, workdir: pathlib.Path, schema: Schema
) -> dict[str, np.ndarray]:
    """The tables of a run's best checkpoint that a new model has too, by name.

    Args:
        model: the new model.
        workdir: of the run, trained on data of this schema.
        schema: of the data.

    Raises:
        InputError: as `restoring.restore`; or no table agrees in name and shape.
    """
    _, step, variables = restoring.restore(Run(workdir), schema)
    theirs = _tables(variables["params"])
    features = restoring.example_features(schema)
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
