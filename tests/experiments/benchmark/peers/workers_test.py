"""Workers from outside, and `protocol` from inside, by a program that needs no library."""

import pathlib
import sys

import pytest

from afm_jax.errors import InputError
from experiments.benchmark import timing
from experiments.benchmark.peers import workers

ROOT = pathlib.Path(__file__).parents[4]
PROGRAM = """
import sys
from experiments.benchmark.peers import protocol
file = open(sys.argv[1], "a", buffering=1)
block = b"x" * (100 << 20)
def write(count):
    print("chatter", flush=True)
    print(f"{sys.argv[2]}{count}", file=file)
def fail(count):
    raise MemoryError("no room")
def make():
    print("chatter while it is made", flush=True)
    if sys.argv[2] == "none":
        raise ImportError("no torch here")
    return {"write": write, "fail": fail}
protocol.serve(make)
"""


def start(path, name):
    command = (sys.executable, "-c", PROGRAM, str(path), name)
    return workers.Worker(command, {"PYTHONPATH": str(ROOT)})


def test_workers_take_turns_and_do_as_often_as_told(tmp_path):
    path = tmp_path / "turns"
    with start(path, "a") as a, start(path, "b") as b:
        works = {"a": a.work("write"), "b": b.work("write")}
        timing.interleaved(works, timing.Turns(windows=2, seconds=0.0))
        a.work("write")(7)
    assert " ".join(path.read_text().split()) == "a1 a1 b1 b1 a1 b1 a1 b1 a7"


def test_the_peak_of_its_memory_is_its_own(tmp_path):
    with start(tmp_path / "turns", "a") as worker:
        assert 100 <= worker.peak_rss_mb() < 150


def test_a_worker_that_cannot_start_is_told_with_its_last_words(tmp_path):
    with pytest.raises(InputError, match="ended with 1: ImportError: no torch here"):
        start(tmp_path / "turns", "none")


def test_a_worker_that_dies_is_told_with_its_last_words(tmp_path):
    with start(tmp_path / "turns", "a") as worker:
        worker.work("write")(1)
        with pytest.raises(InputError, match="ended with 1: MemoryError: no room"):
            worker.work("fail")(1)
        with pytest.raises(InputError, match="MemoryError: no room"):
            worker.work("write")(1)


def test_a_closed_worker_is_gone(tmp_path):
    with start(tmp_path / "turns", "a") as worker:
        pass
    assert worker.peak_rss_mb() is None
