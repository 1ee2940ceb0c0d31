"""Whatever a run's folder says, it is used or told in one line, and causes no import."""

import json
import os
import shutil
import sys

import json_changes
import numpy as np
import optax
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data import prepare_frames
from afm_jax.data.formats import csv
from afm_jax.errors import InputError
from afm_jax.inference import restoring, scoring
from afm_jax.inference.predictor import Predictor
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run


def table(seed):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "click": rng.integers(0, 2, 60),
            "user": [f"u{x}" for x in rng.integers(0, 3, 60)],
            "hashed": [f"h{x}" for x in rng.integers(0, 3, 60)],
            "tags": rng.choice(["", "a", "b|a"], 60).tolist(),
            "when": [f"2024-03-01 {x:02d}:00" for x in rng.integers(0, 24, 60)],
            "quantile": rng.normal(size=60),
            "price": rng.normal(size=60),
            "weight": rng.uniform(size=60),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    store = prepare_frames(
        {"train": table(0), "validation": table(1)},
        label="click",
        weight="weight",
        categorical=["user", "hashed"],
        multi_valued={"tags": "|"},
        numeric=["quantile", "price"],
        numeric_as={"quantile": "bucket_quantile"},
        hash_buckets={"hashed": 4},
        time="when",
        time_fields=["hour"],
        na_values=["u2"],
    )
    model = models.make("fm", schema=store.schema, embedding_dim=2)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    afm_jax.fit(task, store, epochs=1, folder=folder / "run")
    table(2).write_csv(folder / "new.csv")
    return folder


@pytest.mark.parametrize(("batch_size", "steps"), [(8, [6, 8]), (60, [1])])
def test_a_checkpoint_within_an_epoch_says_so(
    batch_size, steps, trained, tmp_path, caplog
):
    """Its table rows are as they were last used."""
    store = prepare_frames(
        {"train": table(0), "validation": table(1)}, label="click", categorical=["user"]
    )
    model = models.make("fm", schema=store.schema, embedding_dim=2)
    task = training.Task(model, optimizer="adam", learning_rate=0.1)
    afm_jax.fit(
        task,
        store,
        epochs=1,
        batch_size=batch_size,
        checkpoint_every=3,
        folder=tmp_path,
    )
    for step in steps:
        caplog.clear()
        restoring.restore(Run(tmp_path), store.schema, step=step)
        assert ("have not caught up" in caplog.text) == (step != steps[-1])


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, whose files may be spoiled."""
    return Run(shutil.copytree(trained / "run", tmp_path / "run"))


def check_each_change(path, use):
    """What a file of JSON says, however changed, is used, or the error is of one line."""
    for way, wrong in json_changes.changes(json.loads(path.read_text())):
        path.write_text(json.dumps(wrong))
        told = ""
        try:
            use()
        except InputError as error:
            told = str(error)
        except Exception as error:
            raise AssertionError(way) from error
        assert "\n" not in told, way


def test_whatever_a_schema_says_is_used_or_told_in_one_line(run, trained, monkeypatch):
    predictor, known = Predictor.load(run.path), run.read_schema()
    # The model has its own checks, and its compilation takes long.
    monkeypatch.setattr(
        Predictor, "logits", lambda self, rows: np.zeros(len(rows.ids), np.float32)
    )

    def use():
        predictor.schema = run.read_schema()
        if known.difference(predictor.schema):
            return  # The checkpoint has another one.
        vars(predictor).pop("encoder", None)
        scored = scoring.score(predictor, trained / "new.csv", csv)
        assert sum(map(len, scored.frames)) == 60
        scored.scores.result()
        predictor.encode(table(2))

    use()
    check_each_change(run.schema, use)


def test_a_schema_of_another_model_is_told(run):
    for way, wrong in json_changes.changes(
        json.loads(run.schema.read_text()), (2, "x")
    ):
        if way in ("fields: x", "fields/0/name: x", "dense/0/mean: 2"):
            run.schema.write_text(json.dumps(wrong))
            with pytest.raises(InputError):
                Predictor.load(run.path)


def test_whatever_a_config_says_is_used_or_told_in_one_line(run):
    schema, before = run.read_schema(), {*sys.modules}

    def use():
        config = read_config(run)
        restoring.model_of(config, schema)
        restoring.loss_of(config)

    use()
    check_each_change(run.config, use)
    assert {*sys.modules} == before


@pytest.mark.parametrize(
    "model", ["os:system", "evil.py:Model", "../evil.py:Model", "evil", "", "os"]
)
def test_code_that_a_config_names_is_not_imported(model, run, monkeypatch):
    (run.path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(run.path)
    for name in "model", "loss":
        config = json.loads(run.config.read_text())
        run.config.write_text(json.dumps(config | {name: model}))
        with pytest.raises(InputError) as found:
            Predictor.load(run.path)
        assert "\n" not in str(found.value)
        run.config.write_text(json.dumps(config))


def spoil(path, how):
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "loop":
        path.symlink_to(path)
    elif how == "bytes":
        path.write_bytes(b"\xff\x00[")
    elif how == "depth":
        path.write_text("[" * 10**6)
    elif how == "empty":
        path.write_bytes(b"")


@pytest.mark.parametrize(
    "how", ["gone", "pipe", "folder", "loop", "bytes", "depth", "empty"]
)
@pytest.mark.parametrize("name", ["config", "schema", "vocabularies"])
def test_a_spoiled_file_is_told_in_one_line(name, how, run):
    path = getattr(run, name)
    spoil(path, how)
    with pytest.raises(InputError) as found:
        Predictor.load(run.path).encode(table(2))
    assert "\n" not in str(found.value)
