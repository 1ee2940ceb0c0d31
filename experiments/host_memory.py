"""Host memory: how a program on CPUs keeps what it frees."""

import ctypes
import os
import sys

import jax

SWITCH = "AFM_JAX_KEEP_MEMORY"
"""Environment variable; 0 leaves the allocator as it is."""

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD = 64 << 20


def keep_freed() -> bool:
    """Makes the C allocator keep freed memory for the next request, on Linux CPUs.

    XLA allocates the buffers of a step anew each time. glibc maps each large one from
    the kernel and gives it back, so that every step pays for page faults; see
    `experiments/benchmark/NOTES.md` for what that costs. Memory once used is then never
    returned, so the process stays at its peak.

    It is for programs, before they allocate; a library must not decide this.

    Returns:
        Whether it was done: not on a GPU, whose buffers are not the host's; not with
        another C library; not if the environment variable `SWITCH` is 0.
    """
    wanted = os.environ.get(SWITCH, "1") != "0"
    if not wanted or sys.platform != "linux" or jax.default_backend() != "cpu":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # -1, the largest size: never trim.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD))
    done = [mallopt(name, value) for name, value in settings]
    return all(done)
