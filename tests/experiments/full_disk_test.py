"""A disk that is full while a run writes; preparation is in tests/data/prepare_test.py."""

import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from data import prepare
from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[2]


def train(*flags):
    return subprocess.run(
        [sys.executable, "-m", "experiments.train", *flags],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=240,
    )


# Full at the first file, in the first checkpoint, of some 300 kB.
@pytest.mark.parametrize("free", [0, 150_000])
def test_training_ends_with_one_line_and_works_once_there_is_space(
    tmp_path, small_disk, free
):
    data = f"--data_dir={tmp_path}"
    flags = ["prepare", "--dataset=synthetic", data, "--rows=600,200"]
    assert program.run(prepare.main, prepare.FLAGS, flags) == 0
    flags = ["--model=fm", data, f"--workdir={small_disk}/run"]
    flags += ["--set=embedding_dim=64", "--epochs=2", "--batch_size=128"]
    other = small_disk / "other"
    other.write_bytes(bytes(2**20 - free))
    done = train(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    told = "No space left on device; make some, or write elsewhere."
    assert told in done.stderr.splitlines()[-1]
    assert done.stderr.count("No space left") == 1
    assert "Traceback" not in done.stderr
    other.unlink()
    done = train(*flags)
    assert done.returncode == 0, done.stderr


def test_a_process_that_cannot_make_a_checkpoint_ends(make_disk):
    """No inodes, found in the midst of making one: it ends, and soon."""
    disk = make_disk("size=10m,nr_inodes=14")
    done = train(
        "--model=lr", "--epochs=2", "--batch_size=8192", f"--workdir={disk}/run"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert done.stderr.count("No space left") == 1
    assert "Traceback" not in done.stderr
