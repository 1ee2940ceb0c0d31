import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import tensorflow_datasets as tfds

from afm_jax.data.preparation import builder
from afm_jax.data.store import record_writer


class Toy(builder.BlockBuilder):
    """Writes records of its own, whatever the rows of a block."""

    written = (("train", 5), ("test", 2), ("train", 4), ("train", 1), ("test", 1))

    def encode(self, source, folder):
        raise NotImplementedError

    def _download_and_prepare(self, dl_manager, download_config):
        writer = record_writer.RecordWriter(self._info(), 4)
        number = 0
        for split, count in self.written:
            for _ in range(count):
                writer.add(split, record(number))
                number += 1
        self.info.set_splits(writer.close())


def record(number):
    return {
        "ids": np.array([number, number + 1], np.int32),
        "values": np.zeros(0, np.float32),
        "dense": np.array([number / 7], np.float32),
        "labels": np.array([number % 2], np.float32),
        "weights": np.array([1 + number], np.float32),
        "numbers": np.array([number], np.int64),
    }


def test_records_come_back_in_the_order_of_their_split_from_full_shards(tmp_path):
    tfds.disable_progress_bar()
    Toy(data_dir=str(tmp_path)).download_and_prepare(download_dir=str(tmp_path / "d"))
    folder = tmp_path / "toy" / "1.0.0"
    found = tfds.builder_from_directory(str(folder))
    assert found.info.splits["train"].shard_lengths == [4, 4, 2]
    assert found.info.splits["test"].shard_lengths == [3]
    expected = {"train": [*range(5), *range(7, 12)], "test": [5, 6, 12]}
    for split, numbers in expected.items():
        source = found.as_data_source(split)
        assert len(source) == len(numbers)
        for got, number in zip(source, numbers, strict=True):
            for name, array in record(number).items():
                np.testing.assert_array_equal(got[name], array)
                assert got[name].dtype == array.dtype
