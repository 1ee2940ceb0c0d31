"""A run as its working directory describes it: config, data, model."""

import ast
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from flax import linen as nn

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import synthetic
from data.loader import Loader
from data.store import Store, open_store

SYNTHETIC = "synthetic"

_CONFIG = "config.json"
_NEEDED = ("model", "set", "dataset", "data_dir", "loss")
# How long and on which devices, not what is computed.
_MAY_CHANGE = (
    *("epochs", "patience", "checkpoint_every", "log_every"),
    *("device_map", "table_sharding"),
)


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


def loaders(store: Store, batch_size: int, seed: int) -> dict[str, Loader]:
    """A loader for each split; only training rows are shuffled."""
    return {
        name: Loader(rows, batch_size, seed=seed, shuffle=name == "train")
        for name, rows in store.splits.items()
    }


def make_model(name: str, settings: Sequence[str], schema: Schema) -> nn.Module:
    """The model over the data's vocabulary, with hyperparameters from name=value texts.

    Raises:
        InputError: as `hyperparameters` or `models.make`.
    """
    values = hyperparameters(settings)
    if len(schema.slot_fields) > len(schema.fields):
        values["slot_fields"] = schema.slot_fields
    return models.make(name, vocab_size=schema.vocab_size, **values)


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


def group_slot(schema: Schema, field: str | None) -> int | None:
    """The slot of the field within whose values GAUC ranks.

    Raises:
        InputError: no such field.
    """
    if field is None:
        return None
    try:
        return schema.slot(field)
    except KeyError as error:
        raise InputError(f"--group_field: {error.args[0]}.") from None


def start(
    workdir: pathlib.Path, config: Mapping[str, Any], schema: Schema, *, resume: bool
) -> None:
    """Makes the working directory and writes config and schema into it.

    Raises:
        InputError: there is a run already and `resume` is False; or there is none, or
            one of another config, and it is True; or there can be no such folder.
    """
    path = workdir / _CONFIG
    if resume:
        saved = read_config(workdir)
        for name in config:
            if name not in _MAY_CHANGE and saved.get(name) != config[name]:
                raise InputError(
                    f"--resume: {workdir} was trained with --{name}={saved.get(name)}, found --{name}={config[name]}."
                )
    elif path.exists():
        raise InputError(
            f"{workdir} holds a run already; go on with it by --resume, or name another --workdir."
        )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--workdir={workdir}: {error.strerror}.") from None
    for file, text in (
        (workdir / "schema.json", schema.to_json()),
        (path, json.dumps(dict(config), indent=1)),
    ):
        temporary = file.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(file)


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a working directory.

    Raises:
        InputError: there is no run, or its config is damaged.
    """
    path = workdir / _CONFIG
    if not path.is_file():
        raise InputError(f"No run in {workdir}: there is no {_CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict) or not {*_NEEDED} <= set(config):
        raise InputError(
            f"{path} is damaged; expected a JSON object with {', '.join(_NEEDED)}."
        )
    return config


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
