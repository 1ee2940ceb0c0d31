"""Host memory: how a program on CPUs keeps what it frees, in large pages."""

import ctypes
import os
import sys

import jax

SWITCH = "AFM_JAX_KEEP_MEMORY"
"""Environment variable; 0 leaves the allocator as it is."""

# malloc.h of glibc
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_TOP_PAD = 64 << 20
_MADV_HUGEPAGE = 14  # mman.h of Linux


def keep_freed() -> bool:
    """Makes the C allocator keep freed memory for the next request, on Linux CPUs.

    XLA allocates the buffers of a step anew each time. glibc maps each large one from
    the kernel and gives it back, so that every step pays for page faults. From here on
    memory once used is never returned: the process stays at its peak.

    The heap is to be in pages of 2 MB, too, where the kernel gives them on request: the
    rows of a batch lie all over tables of gigabytes, and with pages of 4 kB nearly each
    row misses the processor's cache of page addresses. For this the heap is widened to
    half the machine's memory; of that only what is used becomes resident.

    What both gain is in `experiments/benchmark/NOTES.md`. This is for programs, before
    they allocate; a library must not decide it.

    Returns:
        Whether freed memory is kept: not on a GPU, whose buffers are not the host's;
        not with another C library; not if the environment variable `SWITCH` is 0.
    """
    wanted = os.environ.get(SWITCH, "1") != "0"
    libc = ctypes.CDLL(None)
    if not wanted or sys.platform != "linux" or not hasattr(libc, "mallopt"):
        return False
    # Before jax starts its threads: large requests in heaps of their own are mapped and
    # given back whatever the settings are.
    libc.mallopt(_M_ARENA_MAX, 1)
    if jax.default_backend() != "cpu":
        libc.mallopt(_M_ARENA_MAX, 0)  # as many as there were to be
        return False
    # -1, the largest size: never trim.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, -1), (_M_TOP_PAD, _TOP_PAD))
    done = [libc.mallopt(name, value) for name, value in settings]
    _use_large_pages(libc)
    return all(done)


def _use_large_pages(libc: ctypes.CDLL) -> None:
    """Asks for large pages in the part of the heap that is still to be used."""
    libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page = os.sysconf("SC_PAGE_SIZE")
    block = libc.malloc(os.sysconf("SC_PHYS_PAGES") * page // 2)
    if block is None:  # a limit on the address space
        return
    start = -(-block // page) * page
    end = libc.sbrk(0)
    if start < end:
        libc.madvise(start, end - start, _MADV_HUGEPAGE)
    libc.free(block)
