"""What every program does before it computes."""

import os
import pathlib

import jax
import numpy as np

from afm_jax.errors import InputError
from experiments import host_memory

CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
"""Environment variable of jax: the folder of compiled functions; empty for none."""

_DETERMINISTIC = "xla_gpu_deterministic_ops"

_SECONDS = 0.1
"""A function that compiles faster is not kept."""


def prepare() -> None:
    """Keeps freed memory, keeps compiled functions, and checks jaxlib.

    Sums on a GPU come in the same order each time, so that a run can be repeated and
    resumed to the bit there, too.

    Raises:
        InputError: as `check_sums`.
    """
    # First: it is read when jax first computes.
    if _DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
        flags = os.environ.get("XLA_FLAGS", ""), f"--{_DETERMINISTIC}=true"
        os.environ["XLA_FLAGS"] = " ".join(flags).strip()
    host_memory.keep_freed()
    keep_compiled()
    check_sums()


def check_sums() -> None:
    """Refuses a jaxlib that computes wrong sums in silence, as 0.10.2 does on CPUs.

    The sum is one that it gets wrong: jax issues 39103, 39257, 40412.

    Raises:
        InputError: the sum is wrong.
    """
    weights = np.linspace(0, 1, 64 * 4096, dtype=np.float32).reshape(64, 4096)
    values = np.sin(np.arange(4 * 64 * 4096, dtype=np.float32)).reshape(4, 64, 4096)
    found = jax.jit(lambda a, e: (a[None] * e).sum(1))(weights, values)
    if not np.allclose(found, (weights * values).sum(1), atol=1e-3):
        raise InputError(
            f"jaxlib {jax.lib.__version__} computes wrong sums on this machine; install another, such as 0.10.1."
        )


def cache() -> pathlib.Path:
    """The project's folder in the user's cache folder.

    Raises:
        RuntimeError: the user has no home folder.
    """
    caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return caches.expanduser() / "afm_jax"


def keep_compiled() -> None:
    """Makes jax keep compiled functions for the next run, in the user's cache folder.

    They are found again by program, versions, flags and device, so that a second run of
    a model starts at once. If `CACHE_VARIABLE` is set, it is left to decide.
    """
    if CACHE_VARIABLE in os.environ:
        return
    try:
        folder = cache() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no home, or none to write to
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SECONDS)
