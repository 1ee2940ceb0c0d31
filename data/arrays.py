"""Array records of a prepared data set as .npy files, checked once, mapped ever after."""

import json
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import leftovers

FOLDER = "arrays"
MANIFEST_FILE = "manifest.json"

_DTYPES = {"ids": "<i4", "values": "<f4", "dense": "<f4", "labels": "<f4"}


def convert(folder: pathlib.Path, schema: Schema) -> None:
    """Makes `folder / FOLDER` from the array records in `folder`, a block at a time.

    It is written under another name and renamed, so that it is there whole or not at
    all; of two processes that convert at once, the second drops its work.

    Raises:
        InputError: a record is damaged or does not agree with the schema, or the
            packages to read records are not installed.
    """
    with leftovers.cleared(folder, f"{FOLDER}.incomplete.*"):
        _convert(folder, schema)


def _convert(folder: pathlib.Path, schema: Schema) -> None:
    incomplete = folder / f"{FOLDER}.incomplete.{uuid.uuid4().hex}"
    incomplete.mkdir()
    try:
        for split, num_rows in schema.rows.items():
            _write_split(incomplete, split, num_rows, _blocks(folder, split), schema)
        manifest = {path.name: path.stat().st_size for path in incomplete.iterdir()}
        (incomplete / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1))
        try:
            incomplete.rename(folder / FOLDER)
        except OSError:
            if not (folder / FOLDER).is_dir():
                raise
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)


def map_split(
    folder: pathlib.Path, split: str, num_rows: int, schema: Schema
) -> dict[str, np.ndarray | None]:
    """The columns of `Rows` of a split, mapped into memory.

    Raises:
        InputError: a file is not what `convert` wrote.
    """
    columns: dict[str, np.ndarray | None] = {}
    for name, shape in _shapes(num_rows, schema).items():
        path = folder / FOLDER / f"{split}.{name}.npy"
        if name == "values" and path.name not in _manifest(folder):
            columns[name] = None
            continue
        columns[name] = map_array(path, shape, _DTYPES[name])
    return columns


def map_array(path: pathlib.Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array of a .npy file, mapped into memory.

    Raises:
        InputError: no such file, or it holds anything but this shape and dtype.
    """
    try:
        array = np.load(path, mmap_mode="r").view(np.ndarray)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
    if array.shape != shape or array.dtype != np.dtype(dtype):
        raise InputError(
            f"{path} holds {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} {list(shape)}; prepare the data again."
        )
    return array


def check_sizes(folder: pathlib.Path) -> None:
    """Compares the sizes of all files with those at their making.

    Raises:
        InputError: a file is gone, or longer or shorter than it was.
    """
    for name, expected in _manifest(folder).items():
        path = folder / FOLDER / name
        found = path.stat().st_size if path.is_file() else "no such file"
        if found != expected:
            raise InputError(
                f"{path} is damaged: {found}, expected {expected} bytes; remove {path.parent} to have it made again."
            )


def _manifest(folder: pathlib.Path) -> Mapping[str, int]:
    path = folder / FOLDER / MANIFEST_FILE
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove {path.parent} to have it made again."
        ) from error


def _shapes(num_rows: int, schema: Schema) -> dict[str, tuple[int, ...]]:
    slots = len(schema.slot_fields)
    return {
        "ids": (num_rows, slots),
        "values": (num_rows, slots),
        "dense": (num_rows, len(schema.dense)),
        "labels": (num_rows,),
    }


def _blocks(folder: pathlib.Path, split: str) -> Iterator[Mapping[str, np.ndarray]]:
    """The records of a split, see `builder.BlockBuilder`."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(
            f"Reading the records in {folder} needs {error.name}; pip install 'afm_jax[data]'."
        ) from error
    try:
        source = tfds.builder_from_directory(str(folder)).as_data_source(split)
        for index in range(len(source)):
            yield source[index]
    except ImportError as error:
        raise InputError(
            f"Reading the records in {folder} needs array_record; pip install 'afm_jax[data]'."
        ) from error
    # What the readers raise for damaged files; they have no exception of their own.
    except (OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"The records of {split} in {folder} are damaged ({error}); prepare the data again."
        ) from error


def _write_split(
    folder: pathlib.Path,
    split: str,
    num_rows: int,
    blocks: Iterator[Mapping[str, np.ndarray]],
    schema: Schema,
) -> None:
    files: dict[str, BinaryIO] = {}
    start = 0
    try:
        for block in blocks:
            count = len(block["labels"])
            told = f"{split} rows {start} to {start + count} in {folder.parent}"
            shaped = _shaped(block, _shapes(count, schema), told)
            _check(shaped, schema, told)
            if start and shaped.keys() != files.keys():
                raise InputError(f"{told}: some blocks have values and others none.")
            for name, array in shaped.items():
                if name not in files:
                    files[name] = (folder / f"{split}.{name}.npy").open("xb")
                    _write_header(files[name], (num_rows, *array.shape[1:]), array)
                files[name].write(np.ascontiguousarray(array))
            start += count
    finally:
        for file in files.values():
            file.close()
    if start != num_rows:
        raise InputError(
            f"{folder.parent} holds {start} rows of {split}, expected {num_rows}; prepare the data again."
        )


def _write_header(file: BinaryIO, shape: tuple[int, ...], array: np.ndarray) -> None:
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _shaped(
    block: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], told: str
) -> dict[str, np.ndarray]:
    """The columns of a record as matrices, without `values` if all are one."""
    shaped = {}
    for name, shape in shapes.items():
        array = np.asarray(block[name], _DTYPES[name])
        if name == "values" and not array.size:
            continue
        if array.size != np.prod(shape):
            raise InputError(
                f"{told}: {array.size} {name}, but the schema asks for {list(shape)}."
            )
        shaped[name] = array.reshape(shape)
    return shaped


def _check(block: Mapping[str, Any], schema: Schema, told: str) -> None:
    """Raises InputError for what a look-up or a loss would pass over in silence."""
    slot_fields = [schema.fields[index] for index in schema.slot_fields]
    first = np.array([field.offset for field in slot_fields], np.int32)
    last = first + np.array([field.vocab_size for field in slot_fields], np.int32)
    outside = (block["ids"] < first) | (block["ids"] >= last)
    if outside.any():
        row, slot = np.argwhere(outside)[0]
        raise InputError(
            f"{told}: id {block['ids'][row, slot]} of field {slot_fields[slot].name!r} is outside [{first[slot]}, {last[slot]})."
        )
    strange = (block["labels"] != 0) & (block["labels"] != 1)
    if strange.any():
        raise InputError(
            f"{told}: label {block['labels'][strange][0]}, expected 0 or 1."
        )
    for name in ("dense", "values"):
        if name in block and not np.isfinite(block[name]).all():
            raise InputError(f"{told}: {name} that are not finite.")
