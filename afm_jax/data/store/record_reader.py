"""Reads the records that `record_writer` writes, and those of version 0.1.

Imports tensorflow_datasets, so import this module inside the function that needs it.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
from array_record.python.array_record_data_source import ArrayRecordDataSource
from tensorflow_datasets.proto import tf_example_pb2

from afm_jax.data.store.columns import OPTIONAL, columns
from afm_jax.data.store.record_writer import DTYPES, features
from afm_jax.errors import InputError
from afm_jax.features import Rows, Schema


def read(folder: pathlib.Path, split: str, schema: Schema) -> Iterator[Rows]:
    """The blocks of a split, in order, from the records in a folder.

    Raises:
        InputError: the records are damaged, or not of this schema.
    """
    paths = sorted(folder.glob(f"*-{split}.array_record-*"))
    start = 0
    try:
        source = ArrayRecordDataSource([os.fspath(path) for path in paths])
        for index in range(len(source)):
            serialized = source[index]
            there = tf_example_pb2.Example.FromString(serialized).features.feature
            names = [name for name in DTYPES if name in there]
            block = features(names).deserialize_example_np(serialized)
            yield _rows(block, schema, f"{split} rows from {start} in {folder}")
            start += len(block["labels"])
    except InputError:
        raise
    # What the readers raise for damaged files; they have no exception of their own.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"The records of {split} in {folder} are damaged ({error}); prepare the data again."
        ) from error


def _rows(block: Mapping[str, np.ndarray], schema: Schema, told: str) -> Rows:
    count = len(block["labels"])
    found: dict[str, np.ndarray | None] = {}
    for name, (dtype, shape) in columns(schema).items():
        array = np.asarray(block.get(name, ()), dtype)
        if not array.size and name in OPTIONAL:
            found[name] = None
            continue
        if array.size != count * int(np.prod(shape)):
            raise InputError(
                f"{told}: {array.size} {name}, but the schema asks for {[count, *shape]}."
            )
        found[name] = array.reshape(count, *shape)
    return Rows(**found)  # type: ignore[arg-type]
