"""Where a result comes from: the device, the versions of packages, the commit."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import jax

import afm_jax

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")
_ROOT = pathlib.Path(__file__).parents[1]


def device() -> str:
    """The devices of this process, such as 'cpu' or '4 x NVIDIA H100'."""
    kinds = [each.device_kind for each in jax.devices()]
    return kinds[0] if len(kinds) == 1 else f"{len(kinds)} x {kinds[0]}"


def versions() -> dict[str, str]:
    """The versions of afm_jax, of Python and of the packages that compute."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    own = {"afm_jax": afm_jax.__version__, "python": platform.python_version()}
    return own | found


def commit() -> str | None:
    """The git commit of this code, with '-dirty' if files differ; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe() -> dict[str, Any]:
    """All of it, as keys of a result."""
    return {"device": device(), "versions": versions(), "git_commit": commit()}
