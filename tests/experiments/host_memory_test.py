"""What freed memory does to the size of a process, seen from outside the allocator."""

import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

import jax
import pytest

from experiments import host_memory

ROOT = pathlib.Path(__file__).parents[2]
SMAPS = pathlib.Path("/proc/self/smaps")
PROBE = """
import threading
import numpy as np
def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 >> 20
blocks = []
def allocate(sizes):
    blocks.extend(np.ones(size << 20, np.uint8) for size in sizes)
def returned(sizes):
    thread = threading.Thread(target=allocate, args=[sizes])  # XLA's are not the main one
    thread.start()
    thread.join()
    full = resident()
    blocks.clear()
    return full - resident()
print(returned([16] * 8), returned([128]))
"""
IMPORTS = "import afm_jax.training.loop, afm_jax.data.loader, experiments.train, experiments.host_memory\n"
KEEP = "from experiments import host_memory; host_memory.keep_freed()\n"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")


class Seen(NamedTuple):
    returned: list[int]
    """MB of 128 in small blocks, and in one, that a process returns when it frees them."""
    smaps: str


def see(prepare, **environment):
    """What a process does that has prepared itself so."""
    show = "print(open('/proc/self/smaps').read())"
    done = subprocess.run(
        [sys.executable, "-c", prepare + PROBE + show],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    returned, _, smaps = done.stdout.partition("\n")
    return Seen([int(text) for text in returned.split()], smaps)


@pytest.fixture(scope="module")
def kept():
    return see(KEEP)


@pytest.fixture(scope="module")
def left_alone():
    return see(KEEP, **{host_memory.SWITCH: "0"})


def test_freed_memory_is_kept(kept):
    assert max(kept.returned) < 8


def test_imports_leave_the_allocator_alone():
    assert min(see(IMPORTS).returned) > 120


def test_the_switch_leaves_the_allocator_alone(left_alone):
    assert min(left_alone.returned) > 120


@pytest.mark.skipif(
    not SMAPS.exists() or "VmFlags" not in SMAPS.read_text(),
    reason="the kernel does not tell",
)
def test_the_heap_is_asked_to_be_in_large_pages(kept, left_alone):
    for seen, asked in ((kept, True), (left_alone, False)):
        heaps = re.findall(r"\[heap\]\n.*?VmFlags: ([^\n]*)", seen.smaps, re.DOTALL)
        assert any("hg" in flags.split() for flags in heaps) == asked


def test_nothing_is_kept_on_other_backends(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not host_memory.keep_freed()
