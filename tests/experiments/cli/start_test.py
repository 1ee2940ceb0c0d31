"""What happens to a program before `program.run` takes over."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest

from experiments.cli import start

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture
def slow_import(tmp_path):
    """An environment in which importing jax says so, and then takes a minute."""
    script = "import sys, time; print('importing', flush=True); time.sleep(60)"
    (tmp_path / "jax.py").write_text(script)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize(
    "module",
    ["experiments.train", "experiments.benchmark", "data.prepare"],
)
def test_ctrl_c_while_a_program_imports_is_one_line(module, slow_import):
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=slow_import,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize(
    ("argv", "orig_argv", "expected"),
    [
        (["-m", "--x"], ["python", "-m", "experiments.train", "--x"], True),
        (["-m"], ["python", "-W", "error", "-um", "data.prepare"], True),
        (["-m", "a"], ["python", "-mdata.prepare", "a"], True),
        (["-m", "data.x"], ["python", "-m", "pytest", "data.x"], False),
        (["-m"], ["python", "-m", "database"], False),
        (["-c", "-m"], ["python", "-c", "import data", "-m"], False),
        (["x.py"], ["python", "x.py"], False),
        ([""], ["python"], False),
    ],
)
def test_only_a_program_of_these_packages_counts_as_one(
    argv, orig_argv, expected, monkeypatch
):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig_argv)
    assert start._is_program() == expected


def test_importing_the_packages_leaves_signals_and_streams_alone():
    script = (
        "import signal; before = signal.getsignal(signal.SIGINT); import experiments;"
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
