"""What a run's config.json holds: the flags that it was trained with."""

import json
from collections.abc import Mapping
from typing import Any

from afm_jax.errors import InputError
from afm_jax.ops.metrics import DIRECTIONS
from afm_jax.training.run.folder import Run

NEEDED = ("model", "set", "dataset", "data_dir", "loss")
"""What every config must hold."""

# What runs did before these could be chosen.
_FORMERLY = {
    "monitor": "auc",
    "compute_dtype": "float32",
    "attention_l2": 0.0,
    "base_logit": "0",
    "untrained_rows": "keep",
    "loss_set": [],
    "optimizer_set": [],
}


def read_config(run: Run) -> dict[str, Any]:
    """The config of the run in a folder.

    Raises:
        InputError: there is no run, or its config is damaged.
    """
    path = run.config
    if not path.is_file() and run.steps():
        raise InputError(
            f"{run.path} holds checkpoints but no {path.name}, which says of what; put it back, or name another folder."
        )
    if not path.is_file():
        raise InputError(f"No run in {run.path}: there is no {path.name}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or not {*NEEDED} <= set(config):
        raise InputError(
            f"{path} is damaged; expected a JSON object with {', '.join(NEEDED)}."
        )
    config = _FORMERLY | config
    damaged = [name for name, right in _readable(config).items() if not right]
    if damaged:
        found = json.dumps(config[damaged[0]])
        raise InputError(f"{path} is damaged: {damaged[0]} cannot be {found}.")
    return config


def _readable(config: Mapping[str, Any]) -> dict[str, bool]:
    """Which values of a config are such that one can look for what they name."""
    folder = config["data_dir"]
    return {
        **{k: isinstance(config[k], str) for k in ("model", "dataset", "loss")},
        **{k: _are_texts(config[k]) for k in ("set", "loss_set", "optimizer_set")},
        "data_dir": folder is None or isinstance(folder, str),
        "monitor": config["monitor"] in list(DIRECTIONS),  # A dict would hash it.
    }


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
