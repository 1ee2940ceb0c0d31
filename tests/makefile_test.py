import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
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
    # A make that runs the tests hands its own variables down.
    handed_down = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "VENV")
    done = subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT), "test", *arguments],
        env={k: v for k, v in os.environ.items() if k not in handed_down},
        capture_output=True,
        check=True,
        text=True,
    )
    assert f"{environment}/bin/python -m pytest " in done.stdout
