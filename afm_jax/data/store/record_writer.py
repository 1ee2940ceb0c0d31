"""Writes records of a TFDS data set: each a block of encoded rows, in order, uncompressed.

A record has int32 `ids` [N * S], float32 `values` [N * S], `dense` [N * D], `labels` [N]
and `weights` [N], and int64 `numbers` [N], flat in row order because TFDS cannot read back
a matrix without columns. `values`, `weights` and `numbers` are empty where `Rows` has
None. Records of version 0.1 have neither `weights` nor `numbers`.

TFDS's own SequentialWriter always compresses, which takes more time than all the rest of
encoding.

Imports tensorflow_datasets, so import this module inside the function that needs it.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core import example_serializer, naming

from afm_jax.features import Rows

# TFDS reads records one by one, which a larger group would slow down.
_ARRAY_RECORD = "group_size:1,uncompressed"

DTYPES = {
    "ids": np.int32,
    "values": np.float32,
    "dense": np.float32,
    "labels": np.float32,
    "weights": np.float32,
    "numbers": np.int64,
}
"""The arrays of a record."""


def features(names: Iterable[str] = tuple(DTYPES)) -> tfds.features.FeaturesDict:
    """The features of a record, known in code: a file that names them is not trusted."""
    return tfds.features.FeaturesDict(
        {
            name: tfds.features.Tensor(
                shape=(None,),
                dtype=DTYPES[name],
                encoding=tfds.features.Encoding.BYTES,
            )
            for name in names
        }
    )


def record(rows: Rows) -> dict[str, np.ndarray]:
    """A block of rows as a record."""
    return {
        name: np.zeros(0, dtype)
        if getattr(rows, name) is None
        else np.asarray(getattr(rows, name), dtype).ravel()
        for name, dtype in DTYPES.items()
    }


@dataclasses.dataclass
class _Split:
    files: naming.ShardedFileTemplate
    shard: Any = None
    lengths: list[int] = dataclasses.field(default_factory=list)
    num_bytes: int = 0


class RecordWriter:
    """Writes records into the folder of a data set.

    Args:
        info: name, folder and features of the data set.
        records_per_shard: how many records a file takes.
    """

    def __init__(self, info: tfds.core.DatasetInfo, records_per_shard: int):
        self._info, self._records_per_shard = info, records_per_shard
        self._serializer = example_serializer.ExampleSerializer(
            info.features.get_serialized_info()
        )
        self._splits: dict[str, _Split] = {}

    def add(self, split: str, record: Mapping[str, np.ndarray]) -> None:
        """Appends a record to a split."""
        if split not in self._splits:
            self._splits[split] = _Split(
                naming.ShardedFileTemplate(
                    dataset_name=self._info.name,
                    data_dir=self._info.data_dir,
                    split=split,
                    filetype_suffix="array_record",
                    template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
                )
            )
        state = self._splits[split]
        if state.shard is None or state.lengths[-1] == self._records_per_shard:
            if state.shard is not None:
                state.shard.close()
            path = state.files.sharded_filepath(
                shard_index=len(state.lengths), num_shards=None
            )
            state.shard = ArrayRecordWriter(os.fspath(path), _ARRAY_RECORD)
            state.lengths.append(0)
        encoded = self._info.features.encode_example(record)
        serialized = self._serializer.serialize_example(encoded)
        state.shard.write(serialized)
        state.lengths[-1] += 1
        state.num_bytes += len(serialized)

    def close(self) -> tfds.core.splits.SplitDict:
        """Closes all files and tells what has been written."""
        for state in self._splits.values():
            state.shard.close()
        return tfds.core.splits.SplitDict(
            [
                tfds.core.SplitInfo(
                    name=name,
                    shard_lengths=state.lengths,
                    num_bytes=state.num_bytes,
                    filename_template=state.files,
                )
                for name, state in self._splits.items()
            ]
        )
