"""Training from a prepared store needs what setup.cfg requires, and no extra."""

import configparser
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from data import prepare
from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[2]

# Hidden as if not installed: an import raises, importlib.util.find_spec gives None.
PROGRAM = """
import importlib.machinery, json, sys
hidden, data_dir, workdir = set(json.loads(sys.argv[1])), *sys.argv[2:]
before = set(sys.modules)
class Required(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in hidden:
            return super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Required

import afm_jax
from experiments.cli import program
from experiments import evaluate, train
flags = [f"--data_dir={data_dir}", f"--workdir={workdir}", "--model=fm"]
flags += ["--set=embedding_dim=4", "--batch_size=128", "--log_every=1"]
for main, values, arguments in (
    (train.main, train.FLAGS, [*flags, "--epochs=1"]),
    (train.main, train.FLAGS, [*flags, "--epochs=2", "--resume"]),
    (evaluate.main, evaluate.FLAGS, flags[1:2]),
):
    print("Starting.", file=sys.stderr)
    code = program.run(main, values, ["program", *arguments])
    if code:
        sys.exit(code)
used = hidden & (set(sys.modules) - before)
assert not used, used
"""


def required():
    """Names of the packages that installing without an extra brings."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup["options"]["install_requires"].splitlines()
    waiting = [Requirement(line) for line in lines if line]
    names = {"afm-jax"}
    while waiting:
        requirement = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        name = canonicalize_name(requirement.name)
        if name not in names:
            names.add(name)
            further = importlib.metadata.requires(name) or ()
            waiting.extend(map(Requirement, further))
    return names


def hidden_modules():
    """Top-level modules that are installed but are not required."""
    names = required()
    assert {"jax", "jaxlib", "flax", "numpy", "scipy"} <= names
    return sorted(
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not names & set(map(canonicalize_name, owners))
    )


def test_training_evaluation_and_resume_need_no_extra(tmp_path):
    hidden = hidden_modules()
    assert {"tensorflow_datasets", "array_record", "polars", "pytest"} <= set(hidden)
    flags = ["--dataset=synthetic", f"--data_dir={tmp_path}", "--rows=600,300,300"]
    assert program.run(prepare.main, prepare.FLAGS, ["prepare", *flags]) == 0
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            PROGRAM,
            json.dumps(hidden),
            str(tmp_path),
            str(tmp_path / "run"),
        ],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, resumed, evaluated = map(json.loads, done.stdout.splitlines())
    assert (first["steps"], resumed["steps"]) == (5, 10)
    assert resumed["best_possible"]["test"] == evaluated["best_possible"]
    assert resumed["test"]["auc"] == pytest.approx(evaluated["metrics"]["auc"])
    _, *told = done.stderr.split("Starting.\n")
    skipped = [run.count("No TensorBoard events; pip install -e") for run in told]
    assert skipped == [1, 1, 0]
    assert not list((tmp_path / "run").glob("events*"))
