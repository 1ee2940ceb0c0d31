"""A run that version 0.1.0 left is evaluated, and goes on."""

import json
import pathlib
import tarfile

import numpy as np
import programs
import pytest

from afm_jax.data.store.reader import open_store
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import evaluate, train

STORED = pathlib.Path(__file__).parents[1] / "stored" / "afm_jax_0.1.0.tar.gz"


@pytest.fixture
def old(tmp_path):
    """The run, and the store that it was trained on."""
    with tarfile.open(STORED) as stored:
        stored.extractall(tmp_path, filter="data")
    return Run(tmp_path / "run"), open_store(tmp_path / "prepared", "csv")


def test_its_config_is_read_with_what_could_not_be_chosen_then(old):
    config = read_config(old[0])
    assert config["base_logit"] == "0"
    assert config["loss_set"] == config["optimizer_set"] == []


def test_its_best_checkpoint_is_evaluated_as_it_was(old):
    run, store = old
    before = json.loads(run.result.read_text())["validation"]
    found = programs.run(evaluate, f"--workdir={run.path}", store=store)
    assert (found["split"], found["model"]) == ("validation", "fm")
    for name in ("auc", "log_loss", "rmse", "calibration"):
        assert found["metrics"][name] == pytest.approx(before[name], rel=1e-5)


def test_it_goes_on_with_its_own_flags(old):
    run, store = old
    lines = run.read_metrics()
    result = programs.run(
        train, "--resume", "--epochs=3", f"--workdir={run.path}", store=store
    )
    assert result["epochs"] == 3
    assert run.read_metrics()[: len(lines)] == lines
    assert np.isfinite(run.read_logits("validation", 40)).all()
