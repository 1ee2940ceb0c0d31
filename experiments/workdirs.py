"""The working directory of a run: what describes it, and who may train in it."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from afm_jax import files
from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.training import best, checked_items, loop, metrics_log

CONFIG = "config.json"
_SCHEMA = "schema.json"
_RESULT = "result.json"
_EVALUATED = ("validation", "test")
_FILES = (
    *(CONFIG, _SCHEMA, _RESULT, "metrics.jsonl"),
    *(str(metrics_log.logits_file(pathlib.Path(), name)) for name in _EVALUATED),
)
_FOLDERS = (loop.CHECKPOINTS, "events", "logits")
_NEEDED = ("model", "set", "dataset", "data_dir", "loss")
# What runs did before these could be chosen.
_FORMERLY = {
    **{"monitor": "auc", "compute_dtype": "float32", "attention_l2": 0.0},
    **{"base_logit": "0", "untrained_rows": "keep"},
}
_IN_RESULT = {"validation", "test", "examples_per_second", "params"}
# What may change when a run goes on, beside its length, since it does not show in its
# result: where it computes and what it notes on the way.
_SURROUNDINGS = ("checkpoint_every", "log_every", "table_sharding", "data_placement")


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
            stack.enter_context(files.made(workdir))
            stack.enter_context(files.held(workdir))
        except OSError as error:
            raise InputError(f"--workdir={workdir}: {error.strerror}.") from None
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
    check_paths(workdir)
    path = workdir / CONFIG
    if resume:
        check_config(workdir, config)
        _check_data(workdir, schema)
    elif is_run(workdir):
        read_config(workdir)
        raise InputError(
            f"{workdir} holds a run already; go on with it by --resume, or name another --workdir."
        )
    (workdir / _RESULT).unlink(missing_ok=True)
    write_text(workdir / _SCHEMA, schema.to_json())
    write_text(path, json.dumps(dict(config), indent=1))


def check_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Raises InputError if the run in a folder cannot go on with this config."""
    saved = read_config(workdir)
    for name in config:
        if not _may_become(name, config[name], saved):
            raise InputError(
                f"--resume: {workdir} was trained with --{name}={saved.get(name)}, found --{name}={config[name]}."
            )


def check_paths(
    workdir: pathlib.Path,
    *,
    files: Iterable[str] = _FILES,
    folders: Iterable[str] = _FOLDERS,
) -> None:
    """Raises InputError if something stands where these files and folders are to be.

    By default these are the files and folders of a run, of which some are written only
    when all the work is done.
    """
    for expected, names in {"file": files, "folder": folders}.items():
        for path in (workdir / name for name in names):
            right = path.is_file() if expected == "file" else path.is_dir()
            if path.exists() and not right:
                raise InputError(
                    f"{path} is no {expected}, but one is to be written there; remove it, or name another --workdir."
                )
            if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
                raise InputError(f"{path}: {os.strerror(errno.EACCES)}.")


def is_run(workdir: pathlib.Path) -> bool:
    """Whether a folder holds a run, finished or not, or what is left of one."""
    return (workdir / CONFIG).exists() or has_checkpoint(workdir)


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
        The result, or None if there is no run, or it did not end, or it goes on with
        this config, or what is left of it is damaged.

    Raises:
        InputError: the run's data are not these.
    """
    path = workdir / _RESULT
    if not path.is_file() or not (workdir / _SCHEMA).is_file():
        return None
    saved = read_config(workdir)
    counts = config.keys() - _SURROUNDINGS
    if any(saved.get(name) != config[name] for name in counts):
        return None
    _check_data(workdir, schema)
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    whole = isinstance(result, dict) and set(result) >= _IN_RESULT
    return result if whole else None


def read_config(workdir: pathlib.Path) -> dict[str, Any]:
    """The config of the run in a working directory.

    Raises:
        InputError: there is no run, or its config is damaged.
    """
    path = workdir / CONFIG
    if not path.is_file() and has_checkpoint(workdir):
        raise InputError(
            f"{workdir} holds checkpoints but no {CONFIG}, which says of what; put it back, or name another folder."
        )
    if not path.is_file():
        raise InputError(f"No run in {workdir}: there is no {CONFIG}.")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict) or not {*_NEEDED} <= set(config):
        raise InputError(
            f"{path} is damaged; expected a JSON object with {', '.join(_NEEDED)}."
        )
    config = _FORMERLY | config
    damaged = [name for name, right in _readable(config).items() if not right]
    if damaged:
        found = json.dumps(config[damaged[0]])
        raise InputError(f"{path} is damaged: {damaged[0]} cannot be {found}.")
    return config


def _readable(config: Mapping[str, Any]) -> dict[str, bool]:
    """Which values of a config are such that one can look for what they name."""
    settings, folder = config["set"], config["data_dir"]
    texts = isinstance(settings, list) and all(isinstance(s, str) for s in settings)
    return {
        **{k: isinstance(config[k], str) for k in ("model", "dataset", "loss")},
        "set": texts,
        "data_dir": folder is None or isinstance(folder, str),
        "monitor": config["monitor"] in list(best.MONITORS),  # A dict would hash it.
    }


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file whole or not at all, whatever happens.

    Raises:
        OSError: it cannot be written; names the file.
    """
    with files.written(path) as file:
        file.write(text.encode("utf-8"))


def _checkpoints(workdir: pathlib.Path) -> list[int]:
    return checked_items.complete(workdir / loop.CHECKPOINTS)


def _description(workdir: pathlib.Path) -> dict[str, bytes]:
    paths = (workdir / name for name in (CONFIG, _SCHEMA, _RESULT))
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _put_back(workdir: pathlib.Path, description: Mapping[str, bytes]) -> None:
    found = _description(workdir)
    for name in found.keys() - description.keys():
        (workdir / name).unlink()
    for name, data in description.items():
        if found.get(name) != data:
            with files.written(workdir / name) as file:
                file.write(data)


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
    if not path.is_file():
        return
    try:
        same = schema.same_data(Schema.from_json(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged; remove it to go on without it.") from None
    if not same:
        raise InputError(
            f"{workdir} was trained on other data of this name; name another --workdir."
        )
