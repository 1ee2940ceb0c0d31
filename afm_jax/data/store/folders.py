"""Where stores are: a folder of stores has one for each name, and in it one for each version."""

import pathlib
import re
from collections.abc import Sequence

from afm_jax import files
from afm_jax.data.store import version_1
from afm_jax.errors import InputError, did_you_mean

VERSION = "2.0.0"
"""Version of the layout of a prepared store."""

SCHEMA_FILE = "schema.json"


def store_folder(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """The folder of the store of this name."""
    return pathlib.Path(data_dir) / name / VERSION


def check_name(name: str, known: Sequence[str] = ()) -> None:
    """Raises InputError if no data set can have this name; one of `known` may be meant."""
    if not re.fullmatch(r"[a-z]\w*", name, re.ASCII):
        raise InputError(
            f"{name!r} is no name for a data set: expected small letters, digits and _, beginning with a letter.{did_you_mean(name, known)}"
        )


def names(data_dir: pathlib.Path) -> tuple[str, ...]:
    """The names of the stores in a folder, sorted."""
    found = {
        path.parent.parent.name
        for version in _versions(pathlib.Path(VERSION))
        for path in pathlib.Path(data_dir).glob(f"*/{version}/{SCHEMA_FILE}")
    }
    return tuple(sorted(found))


def find(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """The folder of the store of this name, of this version or an older one.

    Raises:
        InputError: no such store, or no name of one.
    """
    check_name(name, names(data_dir))
    for folder in _versions(store_folder(data_dir, name)):
        if folder.is_dir():
            return folder
    if not data_dir.exists():
        raise InputError(
            f"No prepared data {name!r}, since there is no folder {data_dir}. Make it with python -m data.prepare."
        )
    there = ", ".join(names(data_dir)) or "none"
    raise InputError(
        f"No prepared data {name!r} in {data_dir}, where there are: {there}. Make it with python -m data.prepare.{did_you_mean(name, names(data_dir))}"
    )


def _versions(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Where a store may be; in the second place after a kill, see `files.replaced`."""
    former = folder.with_name(version_1.VERSION)
    return folder, files.replaced(folder), former


def locate(folder: pathlib.Path) -> tuple[pathlib.Path, str] | None:
    """The folder of all stores, and the name, of the store that a folder is.

    Args:
        folder: of a store, or of a version of it.

    Returns:
        What `open_store` takes, or None if it is no store.
    """
    folder = folder.resolve()
    if folder.name in (VERSION, version_1.VERSION):
        folder = folder.parent
    there = folder.name in names(folder.parent)
    return (folder.parent, folder.name) if there else None


def refuse_stores(folder: pathlib.Path) -> None:
    """Raises InputError if a folder that is to be a run's is of prepared data."""
    inside = names(folder)
    if inside or locate(folder):
        what = f"holds the stores {', '.join(inside)}" if inside else "is a store"
        raise InputError(
            f"{folder} {what}, which data.prepare wrote; name another folder for the run."
        )
