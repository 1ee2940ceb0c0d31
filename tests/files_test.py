import os
import pathlib
import subprocess
import sys

import pytest

from afm_jax.errors import InputError
from afm_jax.files import cleared, held, made, written


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


def test_a_file_is_as_it_was_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")

    def write_half():
        with written(path) as file:
            file.write(b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.json"]
    with written(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file.json"]


def test_a_file_beside_it_is_left_alone(tmp_path):
    (tmp_path / "rows.tmp").write_text("mine")
    with written(tmp_path / "rows.csv") as one, written(tmp_path / "rows.pq") as two:
        one.write(b"one")
        two.write(b"two")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "rows.tmp": "mine",
        "rows.csv": "one",
        "rows.pq": "two",
    }


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with written(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_what_is_no_file_is_written_to_where_it_stands(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with written(pipe) as file:
        file.write(b"new")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]
    assert pipe.is_fifo()
    with pytest.raises(IsADirectoryError), written(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_told(tmp_path):
    path = tmp_path / "none" / "file"
    with pytest.raises(InputError, match="none does not exist"), written(path):
        pass


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs Linux' /proc")
def test_a_folder_that_takes_no_files_is_told():
    path = pathlib.Path("/proc/file")
    with pytest.raises(InputError, match="no file can be made in /proc"), written(path):
        pass


def test_a_file_that_cannot_be_written_is_named(small_disk):
    path = small_disk / "file.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space") as full, written(path) as file:
        file.write(bytes(2 << 20))
    assert full.value.filename == str(path)
    assert path.read_text() == "old"
    assert names(small_disk) == ["file.json"]


def test_a_folder_is_held_once_and_let_go(tmp_path):
    with (
        held(tmp_path),
        pytest.raises(InputError, match="is in use by another process"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):
        pass
