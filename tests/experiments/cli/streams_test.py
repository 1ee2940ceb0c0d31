"""A program whose stdout or stderr is closed, full, or read by nobody."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[3]
FLAGS = program.flags.FlagValues()

# A program of little work, which stands for all: what it does comes to a file.
PROGRAM = """
import logging, pathlib, sys
from experiments.cli import program

def main():
    "Counts."
    logging.getLogger("data").info("working")
    pathlib.Path("done").write_text("whole")
    print("chatter", file=sys.stderr)
    return {"count": 3}

sys.exit(program.run(main, program.flags.FlagValues()))
"""


def run(redirection, tmp_path):
    """Exit code, stdout and lines of stderr of the program under a redirection."""
    (tmp_path / "counts.py").write_text(PROGRAM)
    done = subprocess.run(
        ["bash", "-c", f'"$0" counts.py {redirection}', sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_a_closed_stdout_is_told_before_the_work(tmp_path):
    code, _, err = run(">&-", tmp_path)
    assert (code, len(err)) == (2, 1)
    assert err[0].startswith("stdout is closed")
    assert not (tmp_path / "done").exists()


def test_a_full_stdout_is_one_line_and_exit_code_2(tmp_path):
    code, _, err = run(">/dev/full", tmp_path)
    told = "The job was done, but stdout takes no result: No space left on device."
    assert code == 2
    assert err[-1] == told
    assert len(err) == 3  # with the log line and the chatter


def run_unread(*arguments):
    """The exit code of a program whose stdout is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stdout, contextlib.redirect_stdout(stdout):
        return program.run(dict, FLAGS, ["prog", *arguments])


def test_a_result_that_nobody_reads_is_one_line_and_exit_code_2(capsys):
    assert run_unread() == 2
    told = "The job was done, but stdout takes no result: Broken pipe.\n"
    assert capsys.readouterr().err == told


def test_help_that_nobody_reads_to_its_end_is_no_failure(capsys):
    assert run_unread("--help") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_without_a_stderr_the_job_is_done_all_the_same(redirection, tmp_path):
    code, out, err = run(redirection, tmp_path)
    assert (code, err) == (0, [])
    assert json.loads(out) == {"count": 3}
    assert (tmp_path / "done").read_text() == "whole"
