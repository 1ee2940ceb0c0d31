"""What programs do before they compute: the order of it, and the compile cache."""

import os
import pathlib
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
import samples

from afm_jax.errors import InputError
from experiments import startup

ROOT = pathlib.Path(__file__).parents[2]
COMPILE = """
from experiments import startup
import jax, jax.numpy as jnp
startup.prepare()
def slow(x):
    for _ in range(60):
        x = jnp.sort(jnp.sin(x)) + x[::-1]
    return x
jax.jit(slow).lower(jnp.arange(64.0)).compile()
"""


def test_compiled_functions_are_kept_in_the_users_cache(tmp_path):
    # Without what jax set in this process, too.
    dropped = ("JAX_COMPILATION", "TF_CPP_MIN_LOG_LEVEL")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", COMPILE],
            cwd=ROOT,
            env={**kept, "XDG_CACHE_HOME": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        files = (tmp_path / "afm_jax" / "compiled").glob("jit_slow-*-cache")
        found.append({path: path.stat().st_mtime_ns for path in files})
    assert found[0]
    assert found[0] == found[1]


@pytest.fixture
def folder_for(monkeypatch):
    """The folder that jax is told of in an environment; None if it is left alone."""
    names = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
    before = {name: getattr(jax.config, name) for name in names}

    def find(**environment):
        monkeypatch.delenv(startup.CACHE_VARIABLE, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        jax.config.update("jax_compilation_cache_dir", None)
        startup.keep_compiled()
        return jax.config.jax_compilation_cache_dir

    yield find
    for name, value in before.items():
        jax.config.update(name, value)


def test_the_home_folder_has_the_cache_by_default(folder_for, tmp_path):
    found = folder_for(XDG_CACHE_HOME="", HOME=str(tmp_path))
    assert found == str(tmp_path / ".cache" / "afm_jax" / "compiled")


@pytest.mark.parametrize("folder", ["own", ""])
def test_the_variable_of_jax_decides(folder_for, tmp_path, folder):
    own = {startup.CACHE_VARIABLE: folder and str(tmp_path / folder)}
    assert folder_for(XDG_CACHE_HOME=str(tmp_path), **own) is None
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_done_without(folder_for, tmp_path):
    (tmp_path / "file").touch()
    assert folder_for(XDG_CACHE_HOME=str(tmp_path / "file")) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "--xla_gpu_deterministic_ops=true"),
        ("--a=1", "--a=1 --xla_gpu_deterministic_ops=true"),
        ("--xla_gpu_deterministic_ops=false", "--xla_gpu_deterministic_ops=false"),
    ],
)
def test_sums_on_a_gpu_are_ordered_unless_the_user_says_otherwise(
    given, expected, monkeypatch
):
    monkeypatch.setenv("XLA_FLAGS", given)
    for name in ("keep_freed", "keep_compiled", "check_sums"):
        for module in (startup, startup.host_memory):
            monkeypatch.setattr(module, name, lambda: None, raising=False)
    startup.prepare()
    assert os.environ["XLA_FLAGS"] == expected


@pytest.mark.parametrize("program", ["train", "evaluate", "compare", "pairs"])
def test_programs_prepare_first(program):
    text = (ROOT / f"experiments/{program}.py").read_text()
    body = text.partition("def main()")[2].partition('"""\n')[2]
    assert re.match(r"\s+startup\.prepare\(\)", body)


def test_memory_is_kept_before_anything_is_allocated():
    text = (ROOT / "experiments/startup.py").read_text()
    body = text.partition("def prepare()")[2]
    assert -1 < body.find("host_memory.keep_freed()") < body.find("check_sums()")


def test_sums_that_are_wrong_are_refused(monkeypatch):
    startup.check_sums()
    monkeypatch.setattr(startup.jax, "jit", lambda f: lambda *a: 0.99 * f(*a))
    with pytest.raises(InputError, match="computes wrong sums"):
        startup.check_sums()


def test_the_sum_that_jaxlib_0_10_2_gets_wrong_is_right():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 4096)).astype(np.float32)
    values = rng.normal(size=(16, 64, 4096)).astype(np.float32)
    found = samples.optimized_jit(lambda a, e: (a[None] * e).sum(1))(weights, values)
    np.testing.assert_allclose(found, (weights * values).sum(1), atol=1e-4)
