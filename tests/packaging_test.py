"""A wheel holds the library alone, and works beside any other code."""

import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

pytest.importorskip("setuptools", "77", reason="needs the extra 'test'")

ROOT = pathlib.Path(__file__).parents[1]

# In a folder with a package and modules whose names those of the clone's root have.
PROGRAM = """
import pathlib, sys
import data, experiments
assert data.MINE and experiments.MINE

import jax, numpy as np, optax
import afm_jax
from afm_jax import models
from afm_jax.data import store, synthetic
from afm_jax.data.loader import Loader
from afm_jax.data.store import writer
from afm_jax.ops import losses

assert pathlib.Path(afm_jax.__file__).is_relative_to(sys.prefix), afm_jax.__file__
made = synthetic.make(rows={"train": 64, "validation": 16}, min_count=1)
folder = pathlib.Path("stores/toy/2.0.0")
folder.mkdir(parents=True)
blocks = (writer.Block(split, rows) for split, rows in made.splits.items())
writer.write(folder, made.schema, blocks)
opened = store.open_store(pathlib.Path("stores"), "toy")
batch = Loader(opened.splits["train"], 32).batch(0, 0)
model = models.make("lr", vocab_size=opened.schema.vocab_size)
variables = model.init(jax.random.key(0), batch.features)

def loss(variables):
    logits = model.apply(variables, batch.features)
    return losses.sigmoid_cross_entropy(logits, batch.labels).mean()

before, gradients = jax.value_and_grad(loss)(variables)
step = optax.sgd(0.1)
updates, _ = step.update(gradients, step.init(variables))
assert loss(optax.apply_updates(variables, updates)) < before
assert not hasattr(sys.modules["data"], "MOVED")
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy: setuptools writes into the folder that it builds from."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    for name in ("afm_jax", "data", "experiments"):
        shutil.copytree(
            ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return clone


@pytest.fixture(scope="module")
def wheel(clone, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}", clone)
    (path,) = tmp_path.glob("*.whl")
    return path


def pip(*arguments):
    command = [sys.executable, "-m", "pip", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)


def test_a_wheel_holds_the_library_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"afm_jax"}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "afm_jax").rglob("*.py")}
    assert files <= set(names)


def test_an_editable_installation_is_a_path_that_no_folder_hides(clone, tmp_path):
    build = f"from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=clone, check=True, capture_output=True
    )
    (path,) = tmp_path.glob("*.whl")
    wheel = zipfile.ZipFile(path)
    added = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert len(added) == 1
    assert pathlib.Path(wheel.read(added[0]).decode().strip()).samefile(clone)


def test_an_installed_wheel_works_beside_packages_named_data_and_experiments(
    wheel, tmp_path
):
    # Its dependencies are those of these tests, whose own afm_jax is not seen there:
    # only in the environment's own folders, files named .pth are followed.
    environment, folder = tmp_path / "environment", tmp_path / "folder"
    venv.create(environment)
    python = environment / "bin" / "python"
    pip(
        f"--python={python}",
        "install",
        "--no-compile",
        "--no-deps",
        "--no-index",
        wheel,
    )
    (site_packages,) = environment.glob("lib/python*/site-packages")
    paths = sysconfig.get_paths()
    there = {paths["purelib"], paths["platlib"]}
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(there)) + "\n")
    (folder / "data").mkdir(parents=True)
    for name in ("data/__init__.py", "data.py", "experiments.py"):
        (folder / name).write_text("MINE = True\n")
    done = subprocess.run(
        [python, "-c", PROGRAM], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
