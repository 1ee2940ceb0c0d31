"""Every preset parses, builds its model, and says what to expect of it."""

import pathlib
import re
import shlex

import jax
import numpy as np

from afm_jax.features import DenseColumn, Features, Field, Schema
from data import prepare
from experiments import runs, train
from experiments.cli import flagfiles, program

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(flagfiles.PRESETS.rglob("*.flags"))

NUM_FIELDS = {
    "criteo_x4_001": 39,
    "criteo_x4_002": 39,
    "criteo_x1": 26,
    "avazu_x4_001": 24,
    "avazu_x4_002": 24,
    "frappe": 10,
    "movielenslatest_x1": 3,
    "synthetic": 26,
}
NUM_DENSE = {"criteo_x1": 13, "synthetic": 13}


def parse(path):
    program.parse(train.FLAGS, ["train", f"--flagfile={path}"])
    return train.config()


def header_of(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line[2:] for line in lines if line.startswith("# ")]


def offenders(check, paths):
    """What `check` says of each path, by the path's name, where it does not pass."""
    told = {}
    for path in paths:
        try:
            check(path)
        except Exception as error:
            told[path.stem] = repr(error)
    return told


def builds_its_model(path):
    config = parse(path)
    fields = NUM_FIELDS.get(config["dataset"], 8)
    dense = NUM_DENSE.get(config["dataset"], 0)
    schema = Schema(
        config["dataset"],
        tuple(Field(f"C{i}", "categorical", 5, 5 * i) for i in range(fields)),
        tuple(DenseColumn(f"I{i}", "none") for i in range(dense)),
    )
    model = runs.make_model(config["model"], config["set"], schema)
    features = Features(
        np.zeros((2, fields), np.int32), None, np.zeros((2, dense), np.float32)
    )
    logits = jax.eval_shape(
        lambda key: model.init_with_output(key, features)[0], jax.random.key(0)
    )
    assert logits.shape == (2,)


def test_every_preset_builds_its_model():
    assert not offenders(builds_its_model, FILES)


def is_named_after_its_model(path):
    assert f"_{parse(path)['model']}_" in f"{path.stem}_"


def is_in_the_folder_of_its_data(path):
    """The presets of the note are for several data sets."""
    folder = path.parent.name
    assert path.stem.startswith(f"{folder}_")
    if folder != "note":
        assert folder == parse(path)["dataset"]


def test_every_preset_is_in_the_folder_of_its_data_and_named_after_it():
    assert not offenders(is_in_the_folder_of_its_data, FILES)
    assert len({path.name for path in FILES}) == len(FILES) > 90


def test_every_preset_is_named_after_its_model():
    assert not offenders(is_named_after_its_model, FILES)


def states_the_command_and_what_to_expect(path):
    header = header_of(path)
    python, dash_m, name, *arguments = shlex.split(header[0])
    assert (python, dash_m, name) == ("python", "-m", "experiments.train")
    expected = parse(path)
    program.parse(train.FLAGS, [name, *arguments])
    assert train.config() | {"data_dir": None} == expected
    (result,) = [line for line in header if line.startswith("Expected: ")]
    assert re.search(r"0\.\d\d", result)


def test_every_header_states_the_command_and_what_to_expect(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert not offenders(states_the_command_and_what_to_expect, FILES)


def has_a_command_that_prepares_its_data(path):
    (line,) = [line for line in header_of(path) if line.startswith("Data: ")]
    _, _, _, name, *arguments = shlex.split(line)
    assert name == "data.prepare"
    program.parse(prepare.FLAGS, [name, *arguments])
    name = prepare.FLAGS["name"].value or prepare.FLAGS["dataset"].value
    assert name == parse(path)["dataset"]


def test_the_command_that_prepares_the_data_makes_those_of_the_preset():
    prepared = [path for path in FILES if "data.prepare" in path.read_text("utf-8")]
    assert len(prepared) > 10
    assert not offenders(has_a_command_that_prepares_its_data, prepared)
