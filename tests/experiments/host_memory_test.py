"""What freed memory does to the size of a process, seen from outside the allocator."""

import os
import pathlib
import re
import subprocess
import sys

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


def stdout_of(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def returned(prepare, **environment):
    """MB of 128 in small blocks, and in one, that a process returns when it frees them."""
    return [int(text) for text in stdout_of(prepare + PROBE, **environment).split()]


def test_freed_memory_is_kept():
    assert max(returned(KEEP)) < 8


def test_imports_leave_the_allocator_alone():
    assert min(returned(IMPORTS)) > 120


def test_the_switch_leaves_the_allocator_alone():
    assert min(returned(KEEP, **{host_memory.SWITCH: "0"})) > 120


@pytest.mark.skipif(
    not SMAPS.exists() or "VmFlags" not in SMAPS.read_text(),
    reason="the kernel does not tell",
)
def test_the_heap_is_asked_to_be_in_large_pages():
    code = KEEP + "print(open('/proc/self/smaps').read())"
    for switch, asked in (("1", True), ("0", False)):
        smaps = stdout_of(code, **{host_memory.SWITCH: switch})
        heaps = re.findall(r"\[heap\]\n.*?VmFlags: ([^\n]*)", smaps, re.DOTALL)
        assert any("hg" in flags.split() for flags in heaps) == asked


def test_nothing_is_kept_on_other_backends(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not host_memory.keep_freed()
