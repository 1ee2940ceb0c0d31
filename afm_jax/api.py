"""Train a task on a store, keep what came of it, and predict: the library in two calls.

run = afm_jax.fit(task, store, epochs=5)
run.metrics["validation"]["auc"]
run.predict(new_frame)
run.save("runs/x")
run = afm_jax.load("runs/x")
"""

import contextlib
import dataclasses
import functools
import inspect
import json
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from afm_jax import errors, files, model_rules, models
from afm_jax.data.loader import Loader
from afm_jax.data.store.folders import refuse_stores
from afm_jax.data.store.reader import Store
from afm_jax.errors import InputError, check_type, whole_number
from afm_jax.inference.trained_model import TrainedModel
from afm_jax.ops import losses
from afm_jax.training import loop
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.progress import Options
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from afm_jax.training.task import Task


def fit(
    task: Task,
    store: Store,
    *,
    epochs: int,
    batch_size: int = 1024,
    folder: str | pathlib.Path | None = None,
    group_field: str | None = None,
    devices: Devices | None = None,
    **options: Any,
) -> TrainedModel:
    """Trains a task, and evaluates its best epoch.

    Args:
        task: what to train.
        store: the data, as `data.prepare_frames`, `data.store_of_ids` or
            `data.store.reader.open_store` give them.
        epochs: passes over the training rows, at most.
        batch_size: rows of a batch.
        folder: where to keep the run: a new folder, or that of a run of the same task and
            data, which then goes on. If none is named, `TrainedModel.save` can do it later.
        group_field: a field, such as user, within whose values GAUC ranks.
        devices: where to compute; all devices, if not given.
        **options: the rest of `training.progress.Options`: `monitor`, `patience`,
            `plateau_factor`, `seed` and so on.

    Raises:
        InputError: task or store is something else, the model is not over the
            vocabulary of the store, an option is unknown or out of range, the loss is no
            longer finite, or the folder holds another run, or prepared data.
    """
    checked = _options(epochs, options)
    for name, found, kind in ("task", task, Task), ("store", store, Store):
        if not isinstance(found, kind):
            raise InputError(
                f"{name} is a {type(found).__name__}, expected a {kind.__name__}; write afm_jax.fit(afm_jax.Task(model, learning_rate=...), store, epochs=...)."
            )
    model_rules.check_data(task.model, store.schema)
    batch_size = whole_number("batch_size", batch_size, least=1)
    devices = Devices(store.schema.vocab_size) if devices is None else devices
    check_type("devices", devices, Devices, "Devices of afm_jax.training.devices")
    dataset = dataset_of(
        store,
        batch_size=batch_size,
        seed=checked.seed,
        devices=devices.count,
        group_field=group_field,
    )
    config = _config(task, checked, batch_size=batch_size, group_field=group_field)
    if folder is None:
        path = pathlib.Path(tempfile.mkdtemp(prefix="afm_jax_"))
    else:
        path = errors.path("folder", folder)
    discard = functools.partial(shutil.rmtree, path, ignore_errors=True)
    try:
        result = _train(task, dataset, devices, Run(path), checked, store, config)
    except BaseException:
        if folder is None:
            discard()
        raise
    trained = TrainedModel(
        path,
        result,
        model=None if config["model"] in models.names() else type(task.model),
        loss=task.loss,
    )
    if folder is None:
        weakref.finalize(trained, discard)
    return trained


def _train(
    task: Task,
    dataset: Dataset,
    devices: Devices,
    run: Run,
    options: Options,
    store: Store,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Trains in a folder, which no other process may use meanwhile."""
    refuse_stores(run.path)
    with files.made(run.path), files.held(run.path):
        _describe(run, config, store)
        result = loop.train_and_evaluate(task, dataset, devices, run, options)
        result |= {"model": config["model"], "dataset": store.schema.dataset}
        _write(run.result, result)
    return result


def load(
    folder: str | pathlib.Path,
    *,
    model: type[nn.Module] | None = None,
    loss: Any = None,
) -> TrainedModel:
    """The run that `fit`, or experiments.train, left in a folder.

    Args:
        folder: of the run.
        model: the class of the model, if it is none of this package: a folder runs no
            code by itself.
        loss: the loss, if it is none of this package.

    Raises:
        InputError: there is no run, it did not end, it is damaged, or its model or loss
            must be given.
    """
    run = Run(errors.path("folder", folder))
    config = read_config(run)
    if model is not None:
        check_type("model", model, type, "a class")
    if loss is not None:
        losses.make(loss)  # raises if it is none
    if model is None and ":" in config["model"]:
        raise InputError(
            f"The model of {folder} is {config['model']}, which is code of yours; give load(..., model={config['model'].rpartition(':')[2]})."
        )
    if loss is None and config["loss"] not in losses.names():
        raise InputError(
            f"The loss of {folder} is {config['loss']}, which is code of yours; give load(..., loss=...)."
        )
    try:
        result = json.loads(run.result.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"The run in {folder} did not end: there is no {run.result.name}."
        ) from None
    except (ValueError, RecursionError):
        result = None
    if not isinstance(result, dict):
        raise InputError(f"{run.result} is damaged; expected a JSON object.")
    return TrainedModel(run.path, result, model=model, loss=loss)


def dataset_of(
    store: Store,
    *,
    batch_size: int,
    seed: int = 0,
    devices: int = 1,
    group_field: str | None = None,
    fill_untrained: bool = True,
) -> Dataset:
    """The data of a run, in batches; only training rows are shuffled.

    Args:
        store: the data.
        batch_size: rows of a batch; capped at the rows of a split.
        seed: of the order of the training rows.
        devices: how many share a batch.
        group_field: the field within whose values GAUC ranks, or None.
        fill_untrained: whether table rows that no training row uses are set to the mean
            of those of their field, after each epoch.

    Raises:
        InputError: no training rows, a batch size below 1, no such field, or one with
            several values a row.
    """
    if "train" not in store.splits:
        raise InputError(
            f"{store.schema.dataset} has no training rows, only rows for {', '.join(store.splits)}; train on a store that has a train split."
        )
    splits = {
        name: Loader(
            rows, batch_size, seed=seed, shuffle=name == "train", multiple=devices
        )
        for name, rows in store.splits.items()
    }
    groups = {}
    if group_field is not None:
        check_type("group_field", group_field, str, "the name of a field")
        try:
            groups = {
                split: store.groups(split, group_field)
                for split in splits
                if split != "train"
            }
        except (KeyError, InputError) as error:
            raise InputError(f"group_field: {error.args[0]}.") from None
    counts = store.counts if fill_untrained else None
    return Dataset(store.schema, splits, counts, groups)


def _options(epochs: int, options: Mapping[str, Any]) -> Options:
    known = [field.name for field in dataclasses.fields(Options)]
    for name in options:
        if name not in known:
            raise InputError(f"fit has no option {name!r}; it has {', '.join(known)}.")
    return Options(epochs=epochs, **options)


def _config(
    task: Task, options: Options, *, batch_size: int, group_field: str | None
) -> dict[str, Any]:
    """What a run is trained with, under the names of the programs' flags."""
    name, texts = _spelled(task.model)
    optimizer = task.optimizer if isinstance(task.optimizer, str) else "optax"
    rate = task.learning_rate
    plain = dataclasses.asdict(options)
    del plain["tables"]
    return {
        "model": name,
        "set": texts,
        "dataset": "frames",
        "data_dir": None,
        "loss": task.made_loss.name,
        "optimizer": optimizer,
        "learning_rate": None if callable(rate) else rate,
        "table_update": task.table_update,
        "compute_dtype": task.compute_dtype,
        "batch_size": batch_size,
        "group_field": group_field,
        **plain,
    }


def _spelled(model: nn.Module) -> tuple[str, list[str]]:
    """A model as the flags --model and --set name it; `file:Class` if it is own code."""
    kind = type(model)
    texts = [
        f"{field.name}={getattr(model, field.name)!r}"
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name", "vocab_size", "slot_fields")
        and getattr(model, field.name) != field.default
    ]
    name = kind.__module__.rpartition(".")[2]
    if kind.__module__ == f"{models.__name__}.{name}":
        return name, texts
    with contextlib.suppress(TypeError, OSError):
        return f"{inspect.getsourcefile(kind)}:{kind.__name__}", texts
    return f"{kind.__module__}:{kind.__name__}", texts


def _describe(run: Run, config: Mapping[str, Any], store: Store) -> None:
    """Writes what the run is; of a run that goes on, checks that it is the same."""
    if run.exists():
        saved = read_config(run)
        for name, value in json.loads(json.dumps(dict(config))).items():
            if name != "epochs" and saved.get(name) != value:
                raise InputError(
                    f"{run.path} holds a run with {name}={saved.get(name)!r}, found {value!r}; name another folder."
                )
    run.check_unused()
    run.result.unlink(missing_ok=True)
    with files.written(run.schema) as file:
        file.write(store.schema.to_json().encode("utf-8"))
    store.vocabularies.save(run.vocabularies)
    _write(run.config, config)


def _write(path: pathlib.Path, value: Mapping[str, Any]) -> None:
    with files.written(path) as file:
        file.write(json.dumps(dict(value), indent=1).encode("utf-8"))
