"""What docs/predicting.md shows, done."""

import pathlib
import re

import optax
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data.preparation import builder, raw_builder
from afm_jax.data.store.reader import open_store
from docs import clicks

PAGE = pathlib.Path(clicks.__file__).with_name("predicting.md")


def test_logits_of_a_run_join_the_raw_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(clicks, "ROWS", 700)
    clicks.main()
    builder.build(
        raw_builder.CsvBuilder,
        data_dir=pathlib.Path("prepared"),
        source=pathlib.Path("clicks.csv"),
        options={
            "label": "click",
            "categorical": ("user", "item"),
            "numeric": ("price",),
        },
    )
    store = open_store(pathlib.Path("prepared"), "csv")
    model = models.make("lr", schema=store.schema)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    run = afm_jax.fit(task, store, epochs=1, folder="runs/clicks")
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import numpy.*?)```", page, re.DOTALL)
    found: dict = {}
    exec(example, found)
    scored = found["scored"]
    assert scored.columns == [*pl.read_csv("clicks.csv").columns, "logit"]
    assert scored.height == store.schema.rows["test"]
    expected = run.predictor.logits(scored)
    assert scored["logit"].to_numpy() == pytest.approx(expected, abs=1e-6)
