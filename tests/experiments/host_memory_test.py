"""What freed memory does to the size of a process, seen from outside the allocator."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from experiments import host_memory

ROOT = pathlib.Path(__file__).parents[2]
PROBE = """
import numpy as np
{prepare}
def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 >> 20
blocks = [np.ones(16 << 20, np.uint8) for _ in range(8)]
full = resident()
del blocks
print(full - resident())
"""
IMPORTS = "import afm_jax.training.loop, data.loader, experiments.train, experiments.host_memory"
KEEP = "from experiments import host_memory; host_memory.keep_freed()"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc only")


def returned(prepare, **environment):
    """MB of 128 that a fresh process returns when it frees them."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(prepare=prepare)],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def test_freed_memory_is_kept():
    assert returned(KEEP) < 8


def test_imports_leave_the_allocator_alone():
    assert returned(IMPORTS) > 120


def test_the_switch_leaves_the_allocator_alone():
    assert returned(KEEP, **{host_memory.SWITCH: "0"}) > 120


def test_programs_keep_freed_memory_before_they_allocate():
    for program in ("train", "evaluate"):
        text = (ROOT / f"experiments/{program}.py").read_text()
        body = text.partition("def main()")[2]
        assert -1 < body.find("host_memory.keep_freed()") < body.find("check_sums()")


def test_nothing_is_done_for_other_backends(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not host_memory.keep_freed()
