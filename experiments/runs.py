"""A run as its working directory describes it: config, data, model."""

import ast
import contextlib
import fcntl
import json
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import UNSEEN, Features, Schema
from afm_jax.training import evaluation, leaves, loop, state
from afm_jax.training.checkpoints import Checkpoints
from data import leftovers, synthetic
from data.loader import Loader
from data.store import Rows, Store, open_store

_log = logging.getLogger(__name__)

SYNTHETIC = "synthetic"

CONFIG = "config.json"
_SCHEMA = "schema.json"
_RESULT = "result.json"
_NEEDED = ("model", "set", "dataset", "data_dir", "loss")
# What runs did before these could be chosen.
_FORMERLY = {"monitor": "auc", "compute_dtype": "float32", "attention_l2": 0.0}
_IN_RESULT = {"validation", "test", "examples_per_second", "params"}
# What may change when a run goes on, beside its length, since it does not show in its
# result: where it computes and what it notes on the way.
_SURROUNDINGS = ("checkpoint_every", "log_every", "table_sharding", "data_placement")


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
            f"{dataset} has no split {split!r}; it has {tuple(store.splits)}."
        )
    return store.splits[split]


def loaders(store: Store, batch_size: int, seed: int) -> dict[str, Loader]:
    """A loader for each split; only training rows are shuffled."""
    return {
        name: Loader(rows, batch_size, seed=seed, shuffle=name == "train")
        for name, rows in store.splits.items()
    }


def make_model(name: str, settings: Sequence[str], schema: Schema) -> nn.Module:
    """The model over the data's vocabulary, with hyperparameters from name=value texts.

    Raises:
        InputError: as `hyperparameters` or `models.make`; or hyperparameters that do
            not fit one another or the data.
    """
    values = hyperparameters(settings)
    slots = len(schema.slot_fields)
    if slots > len(schema.fields):
        values["slot_fields"] = schema.slot_fields
    model = models.make(name, vocab_size=schema.vocab_size, **values)
    dense = np.zeros((1, len(schema.dense)), np.float32)
    features = Features(np.zeros((1, slots), np.int32), None, dense)
    jax.eval_shape(model.init, jax.random.key(0), features)
    return model


def hyperparameters(settings: Sequence[str]) -> dict[str, Any]:
    """The hyperparameters that texts name=value set.

    Raises:
        InputError: a text that is not name=value, or one that the data decides.
    """
    values = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--set={text}: expected --set=name=value.")
        if key in ("vocab_size", "slot_fields"):
            raise InputError(f"--set={text}: {key} comes from the data.")
        values[key] = _value(value)
    return values


def group(schema: Schema, name: str | None) -> evaluation.Group | None:
    """The field within whose values GAUC ranks.

    Raises:
        InputError: no such field, or one with several values a row.
    """
    if name is None:
        return None
    try:
        slot = schema.slot(name)
    except KeyError as error:
        raise InputError(f"--group_field: {error.args[0]}.") from None
    field = schema.fields[schema.slot_fields[slot]]
    if field.slots > 1:
        raise InputError(f"--group_field={name}: a row can have several values of it.")
    return evaluation.Group(slot, field.offset + UNSEEN + 1)


@contextlib.contextmanager
def held(workdir: pathlib.Path) -> Iterator[None]:
    """Makes a working directory and keeps other processes from training in it.

    What describes the run there is put back as it was, if this ends in an error before
    there is a new checkpoint: a command that is refused changes nothing.

    Raises:
        InputError: another process holds it, or there can be no such folder.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(leftovers.made(workdir))
            handle = os.open(workdir, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"--workdir={workdir}: {error.strerror}.") from None
        stack.callback(os.close, handle)
        _lock(handle, workdir)
        before, checkpoints = _description(workdir), _checkpoints(workdir)
        try:
            yield
        except BaseException:
            if _checkpoints(workdir) == checkpoints:
                _put_back(workdir, before)
            raise


def start(
    workdir: pathlib.Path, config: Mapping[str, Any], schema: Schema, *, resume: bool
) -> None:
    """Writes config and schema into a working directory.

    Raises:
        InputError: there is a run already and `resume` is False; or there is none, or
            one of another config or other data, and it is True.
    """
    path = workdir / CONFIG
    if resume:
        saved = read_config(workdir)
        for name in config:
            if not _may_become(name, config[name], saved):
                raise InputError(
                    f"--resume: {workdir} was trained with --{name}={saved.get(name)}, found --{name}={config[name]}."
                )
        _check_data(workdir, schema)
    elif path.exists():
        raise InputError(
            f"{workdir} holds a run already; go on with it by --resume, or name another --workdir."
        )
    (workdir / _RESULT).unlink(missing_ok=True)
    write_text(workdir / _SCHEMA, schema.to_json())
    write_text(path, json.dumps(dict(config), indent=1))


def has_checkpoint(workdir: pathlib.Path) -> bool:
    """Whether the run in a working directory has come to its first checkpoint."""
    return bool(_checkpoints(workdir))


def finish(workdir: pathlib.Path, result: Mapping[str, Any]) -> None:
    """Writes the result of a run, the last thing that it does."""
    write_text(workdir / _RESULT, json.dumps(dict(result), indent=1))


def finished(
    workdir: pathlib.Path, config: Mapping[str, Any], schema: Schema
) -> dict[str, Any] | None:
    """The result of the run in a working directory, if it ended as it would again.

    Args:
        workdir: the folder, which need not exist.
        config: what the run is to be trained with.
        schema: of the data that it is to be trained on.

    Returns:
        The result, or None if there is no run, or it did not end, or goes on with this
        config, or its result is damaged.

    Raises:
        InputError: the run's data are not these.
    """
    path = workdir / _RESULT
    if not path.is_file():
        return None
    saved = read_config(workdir)
    counts = config.keys() - _SURROUNDINGS
    if any(saved.get(name) != config[name] for name in counts):
        return None
    _check_data(workdir, schema)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    whole = isinstance(result, dict) and set(result) >= _IN_RESULT
    return result if whole else None


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a working directory.

    Raises:
        InputError: there is no run, or its config is damaged.
    """
    path = workdir / CONFIG
    if not path.is_file():
        raise InputError(f"No run in {workdir}: there is no {CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict) or not {*_NEEDED} <= set(config):
        raise InputError(
            f"{path} is damaged; expected a JSON object with {', '.join(_NEEDED)}."
        )
    return _FORMERLY | config


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
    config = read_config(workdir)
    model = make_model(config["model"], config["set"], schema)
    example = jax.eval_shape(model.init, jax.random.key(0), features)
    model_state = {name: example[name] for name in example if name != "params"}
    with Checkpoints(
        workdir / loop.CHECKPOINTS, schema, read_only=True, monitor=config["monitor"]
    ) as checkpoints:
        step, fields = checkpoints.restore_fields(
            {"params": example["params"], "model_state": model_state},
            checkpoints.best_step() if step is None else step,
        )
    return model, step, {"params": fields["params"], **fields["model_state"]}


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


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file whole or not at all, whatever happens.

    Raises:
        OSError: it cannot be written; names the file.
    """
    _write(path, text.encode("utf-8"))


def _write(path: pathlib.Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _lock(handle: int, workdir: pathlib.Path) -> None:
    """The lock goes with the process, however it ends; some file systems have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{workdir} is in use by another process.") from None
    except OSError:
        _log.warning("%s cannot be locked: train in it once at a time.", workdir)


def _checkpoints(workdir: pathlib.Path) -> set[str]:
    # One that is half written has a longer name.
    folders = (workdir / loop.CHECKPOINTS).glob("*")
    return {folder.name for folder in folders if folder.name.isdigit()}


def _description(workdir: pathlib.Path) -> dict[str, bytes]:
    paths = (workdir / name for name in (CONFIG, _SCHEMA, _RESULT))
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _put_back(workdir: pathlib.Path, description: Mapping[str, bytes]) -> None:
    found = _description(workdir)
    for name in found.keys() - description.keys():
        (workdir / name).unlink()
    for name, data in description.items():
        if found.get(name) != data:
            _write(workdir / name, data)


def _may_become(name: str, value: Any, saved: Mapping[str, Any]) -> bool:
    """Whether a run whose config is `saved` can go on with this value of a flag."""
    before = saved.get(name)
    if name == "patience" and before is not None:
        return value == 0 or 0 < before <= value
    may_change = name in _SURROUNDINGS
    if name == "epochs":  # schedules but the constant one are cut to the epochs
        may_change = saved.get("schedule") == "constant"
    return may_change or value == before


def _check_data(workdir: pathlib.Path, schema: Schema) -> None:
    path = workdir / _SCHEMA
    # Where it is missing, checkpoints still know their schema.
    if path.is_file() and path.read_text(encoding="utf-8") != schema.to_json():
        raise InputError(
            f"{workdir} was trained on other data of this name; name another --workdir."
        )


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
