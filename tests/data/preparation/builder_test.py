import dataclasses
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from afm_jax.data.preparation import builder
from afm_jax.data.store.folders import store_folder
from afm_jax.data.store.reader import open_store
from afm_jax.data.store.writer import Block
from afm_jax.errors import InputError
from afm_jax.features import DenseColumn, Field, Rows, Schema

SCHEMA = Schema(
    dataset="toy",
    fields=(
        Field("user", "categorical", 50, 0),
        Field("genres", "multi_valued", 9, 50, slots=3),
    ),
    dense=(DenseColumn("age", "none"),),
    label="bought",
)


def random_rows(rng, count):
    ids = np.concatenate(
        [rng.integers(0, 50, (count, 1)), rng.integers(50, 59, (count, 3))], axis=1
    )
    return Rows(
        ids.astype(np.int32),
        rng.random((count, 4), np.float32),
        rng.normal(size=(count, 1)).astype(np.float32),
        rng.integers(0, 2, count).astype(np.float32),
    )


def random_blocks():
    """Blocks of odd sizes with the splits interleaved: train 20,400, test 9,001."""
    rng = np.random.default_rng(0)
    sizes = [
        ("test", 9_000),
        ("train", 100),
        ("train", 20_000),
        ("test", 1),
        ("train", 300),
    ]
    return [Block(split, random_rows(rng, size)) for split, size in sizes]


def joined(blocks, split):
    return Rows.concatenate([block[1] for block in blocks if block[0] == split])


class Toy(builder.BlockBuilder):
    def encode(self, source, folder):
        (folder / "vocabulary.txt").write_text(f"of {source}")
        (folder / "scratch").mkdir()
        (folder / "scratch" / "spill").write_text("x")
        return builder.Encoded(SCHEMA, self._blocks())

    def _blocks(self):
        for index, block in enumerate(random_blocks()):
            if index == self.options.get("fail_at"):
                raise InputError("line 7: a mistake.")
            yield block


def test_reblock_keeps_the_order_of_each_split_and_fills_blocks():
    blocks = list(builder.reblock(random_blocks(), 4096))
    for split, rows in (("train", 20_400), ("test", 9_001)):
        sizes = [len(block.labels) for name, block in blocks if name == split]
        assert sizes == [4096] * (rows // 4096) + [rows % 4096]
        for column, expected in zip(
            joined(blocks, split), joined(random_blocks(), split), strict=True
        ):
            if expected is None:
                assert column is None
            else:
                np.testing.assert_array_equal(column, expected)


def test_reblock_leaves_columns_that_are_not_there_out():
    rows = Rows(np.zeros((5, 2), np.int32), None, np.zeros((5, 0)), np.ones(5))
    blocks = list(builder.reblock([Block("train", rows), Block("train", rows)], 10))
    assert [len(block.labels) for _, block in blocks] == [10]
    assert blocks[0][1].values is None


def test_build_writes_schema_and_other_files(tmp_path, capsys):
    schema = builder.build(
        Toy, data_dir=tmp_path, name="kept", source="somewhere"
    ).schema
    mean = joined(random_blocks(), "train").labels.mean(dtype=float)
    assert schema.label_mean == pytest.approx(mean, rel=1e-11)
    assert dataclasses.replace(schema, label_mean=None) == dataclasses.replace(
        SCHEMA, rows={"train": 20_400, "test": 9_001}
    )
    folder = store_folder(tmp_path, "kept")
    assert Schema.from_json((folder / "schema.json").read_text()) == schema
    assert (folder / "vocabulary.txt").read_text() == "of somewhere"
    assert not (folder / "scratch").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert capsys.readouterr().out == ""


READ = """
import sys
import numpy as np
import tensorflow_datasets as tfds
sources = tfds.data_source("kept:1.0.0", data_dir=sys.argv[1])
assert sorted(sources) == ["test", "train"]
assert [len(record["labels"]) for record in sources["train"]] == [8192, 8192, 4016]
source = tfds.builder("kept:1.0.0", data_dir=sys.argv[1]).as_data_source("train")
columns = {
    name: np.concatenate([record[name] for record in source]) for name in source[0]
}
np.savez(sys.argv[2], **columns)
assert "tensorflow" not in sys.modules
"""


def test_tfds_reads_the_records_in_order_without_tensorflow(tmp_path):
    builder.build(Toy, data_dir=tmp_path / "data", name="kept")
    builder.write_records(tmp_path / "data", "kept")
    out = tmp_path / "read.npz"
    command = [sys.executable, "-W", "error", "-c", READ, str(tmp_path / "data"), out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read, expected = np.load(out), joined(random_blocks(), "train")
    for name, column in expected._asdict().items():
        if column is None:
            assert not read[name].size
        else:
            assert read[name].dtype == column.dtype
            np.testing.assert_array_equal(read[name], column.ravel())


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match=r"^line 7: a mistake\.$"):
        builder.build(Toy, data_dir=tmp_path, options={"fail_at": 3})
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_that_is_taken_for_a_store(tmp_path):
    program = """
import os, signal, sys
sys.path[:0] = [sys.argv[2]]
import builder_test
from afm_jax.data.preparation import builder
class Killed(builder_test.Toy):
    def _blocks(self):
        yield from builder_test.random_blocks()
        os.kill(os.getpid(), signal.SIGKILL)
builder.build(Killed, data_dir=sys.argv[1], name="kept")
"""
    here = __file__.rsplit("/", 1)[0]
    subprocess.run([sys.executable, "-c", program, tmp_path, here], check=False)
    assert any(tmp_path.glob("kept/.incomplete.*"))
    assert not store_folder(tmp_path, "kept").exists()
    builder.build(Toy, data_dir=tmp_path, name="kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["2.0.0"]


def test_a_build_leaves_one_under_way_alone(tmp_path):
    class Slow(Toy):
        def _blocks(self):
            (under_way,) = tmp_path.glob("kept/.incomplete.*")
            with pytest.raises(InputError, match="a mistake"):
                builder.build(
                    Toy, data_dir=tmp_path, name="kept", options={"fail_at": 0}
                )
            assert under_way.exists()
            return super()._blocks()

    builder.build(Slow, data_dir=tmp_path, name="kept")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["2.0.0"]


def test_a_name_that_is_taken_is_refused(tmp_path):
    builder.build(Toy, data_dir=tmp_path)
    with pytest.raises(InputError, match=r"toy/2\.0\.0 exists"):
        builder.build(Toy, data_dir=tmp_path)


def test_an_old_store_counts_as_taken_and_is_replaced(tmp_path):
    builder.build(Toy, data_dir=tmp_path)
    builder.write_records(tmp_path, "toy")
    (tmp_path / "toy" / "2.0.0").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"toy/1\.0\.0 exists"):
        builder.build(Toy, data_dir=tmp_path)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["1.0.0"]
    builder.build(Toy, data_dir=tmp_path, overwrite=True)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["2.0.0"]


KILL = """
import os, pathlib, signal, sys
sys.path[:0] = [sys.argv[2]]
import builder_test
from afm_jax.data.preparation import builder
from afm_jax import files
if sys.argv[3] == "by two renames":
    files._exchange = lambda one, two: False
rename = pathlib.Path.rename
def die(self, target):
    rename(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.rename = die
builder.build(builder_test.Toy, data_dir=sys.argv[1], source="new", overwrite=True)
"""


@pytest.mark.parametrize("how", ["by two renames", "in one go"])
def test_a_kill_while_a_store_is_replaced_leaves_a_store(tmp_path, how):
    builder.build(Toy, data_dir=tmp_path, source="old")
    here = __file__.rsplit("/", 1)[0]
    command = [sys.executable, "-c", KILL, tmp_path, here, how]
    code = subprocess.run(command, check=False).returncode
    assert code == (-9 if how == "by two renames" else 0)
    assert open_store(tmp_path, "toy").schema.rows["train"] == 20_400
    builder.build(Toy, data_dir=tmp_path, source="again", overwrite=True)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["2.0.0"]
    folder = store_folder(tmp_path, "toy")
    assert (folder / "vocabulary.txt").read_text() == "of again"


def test_two_builds_give_equal_files(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        builder.build(Toy, data_dir=folder)
    one, two = (store_folder(folder, "toy") for folder in folders)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in two.iterdir())
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()


@pytest.mark.parametrize("name", ["Toy", "a-b", "../toy", "1", "a b"])
def test_what_is_no_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no name for a data set"):
        builder.build(Toy, data_dir=tmp_path, name=name)


def test_no_training_rows_is_an_error(tmp_path):
    class Empty(builder.BlockBuilder):
        def encode(self, source, folder):
            return builder.Encoded(SCHEMA, random_blocks()[:1])

    with pytest.raises(InputError, match="no rows for the training split"):
        builder.build(Empty, data_dir=tmp_path, name="empty")
