"""A program ends, whatever its threads do."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from experiments.cli import endings

ROOT = pathlib.Path(__file__).parents[3]

# A thread that no one ends, one that fails, and an object that fails as it is deleted.
PROGRAM = """
    import sys, threading
    from absl import flags
    from afm_jax.errors import InputError
    from experiments.cli import endings
    from experiments.cli import program

    class Falls:
        def __del__(self):
            raise OSError("while it is deleted")

    def main():
        threading.Thread(target=threading.Event().wait).start()
        failing = threading.Thread(target=lambda: 1 / 0)
        failing.start()
        failing.join()
        Falls()
        {end}

    endings.SECONDS = 0.5
    sys.exit(program.run(main, flags.FlagValues()))
"""


@pytest.mark.parametrize(
    ("end", "code", "last"),
    [
        ("raise InputError('It cannot be.')", 2, "It cannot be."),
        ("raise KeyboardInterrupt", 130, "Interrupted."),
        ("raise ZeroDivisionError('a bug')", 1, "ZeroDivisionError: a bug"),
        ("return {}", 0, None),
    ],
)
def test_no_thread_keeps_a_program_and_its_last_word_stands_alone(end, code, last):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).format(end=end)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code
    told = done.stderr.splitlines()
    assert told[-1:] == ([last] if last else [])
    if code != 1:
        assert len(told) == bool(last)
    assert done.stdout == ("" if code else "{}\n")


def test_what_is_not_the_program_itself_is_not_ended(monkeypatch):
    monkeypatch.setattr(endings, "SECONDS", 0.0)
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("ended"))

    def main():
        return {}

    assert endings.prompt(lambda main: 7)(main) == 7
