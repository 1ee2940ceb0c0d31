import subprocess
import sys

import pytest

from afm_jax.files import cleared, made


@pytest.fixture
def folder(tmp_path):
    for name in ("half.1", "half.2", "whole"):
        (tmp_path / name / "inside").mkdir(parents=True)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_matches_is_removed(folder):
    with cleared(folder, "half.*"):
        assert names(folder) == ["whole"]
        (folder / "half.3").mkdir()
    assert names(folder) == ["half.3", "whole"]


def test_nothing_is_removed_while_another_is_at_work(folder):
    with cleared(folder, "nothing"):
        with cleared(folder, "half.*"):
            assert names(folder) == ["half.1", "half.2", "whole"]
        with cleared(folder, "half.*"):  # the one within has not let go for both
            assert names(folder) == ["half.1", "half.2", "whole"]
    with cleared(folder, "half.*"):
        assert names(folder) == ["whole"]


def test_what_was_made_and_stayed_empty_goes_again(tmp_path):
    with made(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert not (tmp_path / "a").exists()
    with made(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_folder_that_was_there_stays(tmp_path):
    with made(tmp_path / "a"):
        with made(tmp_path / "a"), made(tmp_path / "a" / "b"):
            pass
        assert names(tmp_path / "a") == []


WORK = """
import os, pathlib, signal, sys
from afm_jax.files import cleared, made
with cleared(pathlib.Path(sys.argv[1]), "nothing"):
    print("at work", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_was_killed_is_not_at_work(folder):
    command = [sys.executable, "-c", WORK, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout.readline() == b"at work\n"
        with cleared(folder, "half.*"):
            assert names(folder) == ["half.1", "half.2", "whole"]
    assert worker.returncode == -9
    with cleared(folder, "half.*"):
        assert names(folder) == ["whole"]
