"""A run evaluated on data that it was not trained on."""

import dataclasses

import numpy as np
import optax
import programs
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data import prepare_frames
from afm_jax.errors import InputError
from afm_jax.training import evaluation
from experiments import evaluate, train

COLUMNS = {"label": "click", "categorical": ("user", "item"), "numeric": ("price",)}


def table(seed, rows):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "click": rng.integers(0, 2, rows),
            "user": rng.integers(0, 30 + seed, rows),
            "item": rng.integers(0, 9, rows),
            "price": rng.normal(size=rows).round(3),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate") / "run"
    frames = {"train": table(0, 600), "validation": table(1, 100)}
    store = prepare_frames(frames, **COLUMNS)
    model = models.make("fm", schema=store.schema, init_stddev=0.3)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    return afm_jax.fit(task, store, epochs=1, folder=folder)


def test_new_rows_have_the_metrics_of_their_predictions(run):
    new = prepare_frames(table(5, 256), like=run)
    found = programs.run(evaluate, f"--workdir={run.folder}", store=new)
    assert found["split"] == "test"
    assert found["step"] == run.result["best_step"]
    # To the bit: the batch has the size to which a predictor fills up.
    logits = run.predictor.logits(table(5, 256))
    labels = new.splits["test"].labels
    assert found["metrics"] == evaluation.metrics_of(logits, labels)
    parts = programs.run(
        evaluate, f"--workdir={run.folder}", "--batch_size=100", store=new
    )
    assert parts["metrics"] == pytest.approx(found["metrics"], rel=1e-5)


def test_groups_are_of_raw_values_that_no_training_row_has(run):
    new = table(5, 300).with_columns(
        user=pl.Series([f"new{x % 7}" for x in range(300)])
    )
    store = prepare_frames(new, like=run)
    flags = f"--workdir={run.folder}", "--group_field=user"
    found = programs.run(evaluate, *flags, store=store)["metrics"]
    assert (found["gauc_groups"], found["gauc_rows"]) == (7, 300)


def test_training_goes_on_with_new_rows_from_the_tables_of_the_run(run, tmp_path):
    frames = {"train": table(7, 400), "validation": table(8, 100)}
    store = prepare_frames(frames, like=run)
    flags = "--model=fm", "--epochs=1", f"--init_from={run.folder}"
    workdir = f"--workdir={tmp_path / 'more'}"
    assert programs.run(train, *flags, workdir, store=store)["steps"] > 0


def test_a_store_without_training_rows_cannot_be_trained_on(run, tmp_path):
    store = prepare_frames(table(5, 100), like=run)
    workdir = f"--workdir={tmp_path / 'none'}"
    with pytest.raises(InputError, match="has no training rows, only rows for test"):
        programs.run(train, "--model=fm", workdir, store=store)
    assert not (tmp_path / "none").exists()


def test_rows_that_are_encoded_otherwise_are_refused(run):
    store = prepare_frames(table(5, 100), like=run)
    fields = list(store.schema.fields)
    fields[1] = dataclasses.replace(fields[1], vocabulary_crc32=7)
    other = dataclasses.replace(store.schema, fields=tuple(fields))
    with pytest.raises(InputError, match="field 'item': vocabulary_crc32 is"):
        programs.run(
            evaluate, f"--workdir={run.folder}", store=store._replace(schema=other)
        )
