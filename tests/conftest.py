"""Settings that every test runs under."""

import gc
import os
import pathlib
import signal
import subprocess

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# The tests' own functions run once or twice on a few rows, and compiling them would be
# four fifths of the time. Tests at real size compile as users do (samples.optimized_jit);
# programs are started without these flags.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=4",
        "--xla_backend_optimization_level=0",
        # Four devices on a busy machine of few cores may meet late.
        "--xla_cpu_collective_call_terminate_timeout_seconds=600",
    ]
)

# A shell that starts the tests in the background makes them, and the programs that they
# start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# For the programs that tests start, too.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache")
)
# Every program is kept: most of them are single operations outside `jax.jit`, each of which
# compiles for a few hundredths of a second.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")

# jax keeps millions of objects; at Python's thresholds looking through them for garbage
# is 3% of the time.
gc.set_threshold(100_000, 50, 100)


FOLDER = pathlib.Path(__file__).parent
# Longest first: where a long file comes last, one core works on it and the others wait.
LONGEST = (
    "training/devices_test.py",
    "models/contract_test.py",
    "training/loop_test.py",
    "experiments/train_test.py",
    "models/planted_test.py",
    "experiments/compare_test.py",
    "data/formats/fuzz_test.py",
    "ops/attention_test.py",
    "ops/batch_split_test.py",
    "experiments/benchmark/peers/environment_test.py",
)


def pytest_collection_modifyitems(items):
    """Puts the tests of long files first."""
    places = {FOLDER / name: place for place, name in enumerate(LONGEST)}
    missing = [str(path) for path in places if not path.exists()]
    if missing:
        raise pytest.UsageError(f"conftest.LONGEST names no file: {missing}")
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """Folder of the real data sets; tests that need it skip where it is not at hand."""
    folder = os.environ.get("AFM_JAX_REAL_DATA")
    if not folder:
        pytest.skip("AFM_JAX_REAL_DATA names no folder of real data")
    return pathlib.Path(folder)


@pytest.fixture
def make_disk(tmp_path):
    """Makes a file system in memory, by mount options; only root may make one."""
    folders = []

    def make(options):
        folder = tmp_path / f"disk{len(folders)}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a file system cannot be mounted here")
        folders.append(folder)
        return folder

    yield make
    for folder in folders:
        # Lazily: tensorboardX leaves a file open that it could not flush.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(make_disk):
    """A file system of one megabyte."""
    return make_disk("size=1m")
