"""The working directory of a run: what describes it, and who may train in it."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from afm_jax import files
from afm_jax.data.store.folders import refuse_stores
from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run

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
        InputError: another process holds it, it is of prepared data, or there can be no
            such folder.
    """
    refuse_stores(workdir)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.made(workdir))
            stack.enter_context(files.held(workdir))
        except OSError as error:
            raise InputError(f"--workdir={workdir}: {error.strerror}.") from None
        run = Run(workdir)
        before, checkpoints = _description(run), run.steps()
        had_vocabularies = run.vocabularies.exists()
        try:
            yield
        except BaseException:
            if run.steps() == checkpoints:
                _put_back(run, before)
                if not had_vocabularies:
                    run.vocabularies.unlink(missing_ok=True)
            raise


def start(
    workdir: pathlib.Path, config: Mapping[str, Any], schema: Schema, *, resume: bool
) -> None:
    """Writes config and schema into a working directory.

    Raises:
        InputError: there is a run already and `resume` is False; or there is none, or
            one of another config or other data, and it is True; or there is a file of
            something else that the run would write over.
    """
    run = Run(workdir)
    check_paths(run.files, run.folders)
    run.check_unused()
    if resume:
        check_config(workdir, config)
        _check_data(run, schema)
    elif run.exists():
        read_config(run)
        raise InputError(
            f"{workdir} holds a run already; go on with it by --resume, or name another --workdir."
        )
    run.result.unlink(missing_ok=True)
    write_text(run.schema, schema.to_json())
    write_text(run.config, json.dumps(dict(config), indent=1))


def check_config(workdir: pathlib.Path, config: Mapping[str, Any]) -> None:
    """Raises InputError if the run in a folder cannot go on with this config."""
    saved = read_config(Run(workdir))
    for name in config:
        if not _may_become(name, config[name], saved):
            raise InputError(
                f"--resume: {workdir} was trained with --{name}={saved.get(name)}, found --{name}={config[name]}."
            )


def check_paths(
    files: Iterable[pathlib.Path], folders: Iterable[pathlib.Path] = ()
) -> None:
    """Raises InputError if something stands where these files and folders are to be.

    Of a run some are written only when all the work is done.
    """
    for expected, paths in {"file": files, "folder": folders}.items():
        for path in paths:
            right = path.is_file() if expected == "file" else path.is_dir()
            if path.exists() and not right:
                raise InputError(
                    f"{path} is no {expected}, but one is to be written there; remove it, or name another --workdir."
                )
            if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
                raise InputError(f"{path}: {os.strerror(errno.EACCES)}.")


def finish(workdir: pathlib.Path, result: Mapping[str, Any]) -> None:
    """Writes the result of a run, the last thing that it does."""
    write_text(Run(workdir).result, json.dumps(dict(result), indent=1))


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
    run = Run(workdir)
    if not run.result.is_file() or not run.schema.is_file():
        return None
    saved = read_config(run)
    counts = config.keys() - _SURROUNDINGS
    if any(saved.get(name) != config[name] for name in counts):
        return None
    _check_data(run, schema)
    try:
        result = json.loads(run.result.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    whole = isinstance(result, dict) and set(result) >= _IN_RESULT
    return result if whole else None


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file whole or not at all; raises OSError, which names it."""
    with files.written(path) as file:
        file.write(text.encode("utf-8"))


def _description(run: Run) -> dict[pathlib.Path, bytes]:
    paths = (run.config, run.schema, run.result)
    return {path: path.read_bytes() for path in paths if path.is_file()}


def _put_back(run: Run, description: Mapping[pathlib.Path, bytes]) -> None:
    found = _description(run)
    for path in found.keys() - description.keys():
        path.unlink()
    for path, data in description.items():
        if found.get(path) != data:
            with files.written(path) as file:
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


def _check_data(run: Run, schema: Schema) -> None:
    path = run.schema
    # Where it is missing, checkpoints still know their schema.
    if not path.is_file():
        return
    try:
        same = schema.same_data(Schema.from_json(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged; remove it to go on without it.") from None
    if not same:
        raise InputError(
            f"{run.path} was trained on other data of this name; name another --workdir."
        )
