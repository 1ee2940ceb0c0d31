import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]


needs_make = pytest.mark.skipif(
    not shutil.which("make"), reason="make is not installed"
)


def commands_of(*arguments):
    """What make would run."""
    # A make that runs the tests hands its own variables down.
    handed_down = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "VENV")
    done = subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT), *arguments],
        env={k: v for k, v in os.environ.items() if k not in handed_down},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


@needs_make
@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ([], ".venv"),
        (["PYTHON=python3.12"], ".venv-python3.12"),
        (["PYTHON=/opt/bin/python3.12"], ".venv-python3.12"),
        (["PYTHON=python3.12", "VENV=mine"], "mine"),
    ],
)
def test_every_python_has_an_environment_of_its_own(arguments, environment):
    commands = commands_of("test", *arguments)
    assert f"{environment}/bin/python -m pytest " in commands


@needs_make
@pytest.mark.parametrize("part", ["check", "quick"])
def test_a_part_of_the_tests_is_of_files_that_there_are(part):
    paths = re.findall(r"\btests/[\w/.]+", commands_of(part))
    assert len(paths) > 4
    assert [path for path in paths if not (ROOT / path).exists()] == []


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


FOUND = (
    'case "$2" in *"{}"*) exit 0;; esac; [ "$1" = --version ] && echo Python {}; exit 1'
)
SHIM = "echo 'pyenv: python3.12: command not found' >&2; exit 127"


@pytest.mark.parametrize(
    ("programs", "calls", "said"),
    [
        (
            {
                "bin/python3": FOUND.format("3.11", "3.11.7"),
                "bin/python3.12": SHIM,
                "pyenv/versions/3.12.1/bin/python3.12": FOUND.format("3.12", "3.12.1"),
            },
            ["lint 3.12", "test 3.12", "train 3.12", "quick 3"],
            "",
        ),
        (
            {
                "bin/python3": FOUND.format("3.12", "3.12.1"),
                "bin/python3.11": FOUND.format("3.11", "3.11.7"),
            },
            ["lint 3", "test 3", "train 3", "quick 3.11"],
            "",
        ),
        (
            {
                "bin/python3": FOUND.format("3.11", "3.11.7"),
                "bin/python3.12": SHIM,
            },
            ["lint", "test", "train"],
            "No Python 3.12 was found: the whole suite runs on Python 3.11.7.",
        ),
        (
            {
                "bin/python3": FOUND.format("3.12", "3.12.1"),
                "bin/python3.11": SHIM,
            },
            ["lint 3", "test 3", "train 3"],
            "No Python 3.11 was found: its quick part of the tests was not run.",
        ),
    ],
)
def test_everything_runs_on_the_newest_jax_that_an_interpreter_has(
    programs, calls, said, tmp_path
):
    for name, text in programs.items():
        write_program(tmp_path / name, text)
    write_program(tmp_path / "bin/make", 'echo "$1 ${2##*python}"')
    done = subprocess.run(
        [str(ROOT / ".ci/run")],
        env={
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "PYENV_ROOT": f"{tmp_path}/pyenv",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        check=True,
        text=True,
    )
    assert [line.strip() for line in done.stdout.splitlines()] == calls
    assert done.stderr.strip() == said
