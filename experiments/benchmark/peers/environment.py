"""The virtual environment of the peers."""

import pathlib
import subprocess
import sys

from afm_jax.errors import InputError

REQUIREMENTS = pathlib.Path(__file__).with_name("requirements.txt")


def make(folder: pathlib.Path, requirements: pathlib.Path = REQUIREMENTS) -> str:
    """Makes the environment, unless it is there with these very requirements.

    Args:
        folder: of the environment; an older or unfinished one is replaced.
        requirements: for pip.

    Returns:
        Path of its Python.

    Raises:
        InputError: it cannot be made; with the last words of what failed.
    """
    python = folder / "bin" / "python"
    ready = folder / "ready.txt"  # what is installed, once all of it is
    wanted = f"Python {sys.version}\n{requirements.read_text()}"
    if ready.exists() and ready.read_text() == wanted:
        return str(python)
    if (
        folder.exists()
        and not (folder / "pyvenv.cfg").exists()
        and any(folder.iterdir())
    ):
        raise InputError(
            f"{folder} is no virtual environment; name another with --peers_dir."
        )
    _run(folder, sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "install")
    _run(folder, *pip, "--quiet", "--requirement", str(requirements))
    ready.write_text(wanted)
    return str(python)


def _run(folder: pathlib.Path, *command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise InputError(
            f"The peers' environment {folder} cannot be made: {words[-1] if words else command}"
        )
