"""Stores of version 1: records, and arrays made of them without checksums.

Such a store is read where its arrays are. `upgrade` makes one of version 2 of it.
"""

import json
import pathlib
import shlex
from collections.abc import Mapping

import numpy as np

from afm_jax.data.store import arrays
from afm_jax.errors import InputError

VERSION = "1.0.0"
FOLDER = "arrays"

_COLUMNS = ("ids", "values", "dense", "labels")


def map_split(
    folder: pathlib.Path,
    split: str,
    num_rows: int,
    columns: Mapping[str, tuple[str, tuple[int, ...]]],
) -> dict[str, np.ndarray | None]:
    """The columns of `Rows` of a split, mapped into memory.

    Args:
        folder: of the store.
        split: its name.
        num_rows: rows of the split.
        columns: dtype and shape of one row of each column; see `rows.columns`.

    Raises:
        InputError: there are no arrays, or they are damaged.
    """
    files = _check_sizes(folder)
    found: dict[str, np.ndarray | None] = {"values": None}
    for name in _COLUMNS:
        path = folder / FOLDER / f"{split}.{name}.npy"
        if name != "values" or path.name in files:
            dtype, shape = columns[name]
            found[name] = arrays.map_array(path, (num_rows, *shape), dtype)
    return found


def _check_sizes(folder: pathlib.Path) -> Mapping[str, int]:
    """The size of each file, which must be that at its making."""
    path = folder / FOLDER / arrays.MANIFEST_FILE
    try:
        sizes = json.loads(path.read_bytes())
        files = {path.with_name(name): size for name, size in sizes.items()}
    except FileNotFoundError:
        raise InputError(
            f"{folder} holds records of version 1 alone; make a store of them with python -m data.prepare --upgrade --name={folder.parent.name} --data_dir={shlex.quote(str(folder.parent.parent))}."
        ) from None
    except arrays.NOT_AS_WRITTEN as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
    for file, size in files.items():
        found = file.stat().st_size if file.is_file() else "no such file"
        if found != size:
            raise InputError(
                f"{file} is damaged: {found}, expected {size} bytes; prepare the data again."
            )
    return sizes
