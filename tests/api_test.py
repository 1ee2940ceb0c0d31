"""The library in two calls: fit and load."""

import functools
import json
import pathlib
import shutil

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data import prepare_frames
from afm_jax.errors import InputError
from afm_jax.features import Rows
from afm_jax.modules import embedding
from afm_jax.ops import losses
from afm_jax.training.run.folder import Run

OPTIONS = {"epochs": 2, "batch_size": 256}


def table(seed, rows):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 12, rows), rng.integers(0, 9, rows)
    p = 1 / (1 + np.exp(-2 * np.sin(user * 3.0) * np.cos(item * 5.0)))
    tags = [list("abc"[: user[row] % 4]) for row in range(rows)]
    return pl.DataFrame(
        {
            **{"click": rng.random(rows) < p, "user": user},
            **{"item": [f"i{x}" for x in item], "tags": tags},
            "price": rng.normal(size=rows),
        }
    )


@functools.cache
def store():
    return prepare_frames(
        {"train": table(0, 2_000), "validation": table(1, 500), "test": table(2, 400)},
        label="click",
        categorical=["user", "item"],
        numeric=["price"],
        multi_valued=["tags"],
    )


def task(**changed):
    model = models.make("fm", schema=store().schema, embedding_dim=3, init_stddev=0.1)
    return training.Task(**{"model": model, "optimizer": optax.adam(0.03)} | changed)


@pytest.fixture(scope="module")
def fitted():
    return afm_jax.fit(task(), store(), **OPTIONS)


def test_a_fitted_model_has_metrics_history_and_predictions(fitted):
    assert fitted.metrics.keys() == {"validation", "test"}
    assert fitted.metrics["validation"]["auc"] > 0.55
    epochs = [line for line in fitted.history if "validation" in line]
    assert [line["epoch"] for line in epochs] == [1, 2]
    best = max(line["validation"]["auc"] for line in epochs)
    assert fitted.metrics["validation"]["auc"] == best
    found = fitted.predict(table(2, 400).drop("click"))
    logits = Run(fitted.folder).read_logits("test", 400)
    np.testing.assert_allclose(found, losses.sigmoid(logits), atol=1e-6)


def test_predictions_of_a_row_do_not_depend_on_the_rows_beside_it(fitted):
    frame = table(7, 40)
    all_rows = fitted.predict(frame)
    for rows in (1, 2, 17, 31):
        np.testing.assert_allclose(fitted.predict(frame[:rows]), all_rows[:rows])
    assert fitted.predict(frame[:0]).shape == (0,)
    np.testing.assert_allclose(
        fitted.predict(frame[::-1].to_dict(as_series=False)), all_rows[::-1]
    )


def test_a_saved_model_is_loaded_as_it_was(fitted, tmp_path):
    fitted.save(tmp_path / "new" / "run")
    loaded = afm_jax.load(tmp_path / "new" / "run")
    assert loaded.metrics == fitted.metrics
    assert loaded.history == fitted.history
    frame = table(3, 60)
    np.testing.assert_array_equal(loaded.predict(frame), fitted.predict(frame))
    with pytest.raises(InputError, match="is there already"):
        fitted.save(tmp_path / "new" / "run")


def test_a_run_that_was_deleted_is_told(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    gone = afm_jax.load(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(InputError, match="No run in"):
        gone.save(tmp_path / "new")
    with pytest.raises(InputError, match="No run in"):
        gone.predictor  # noqa: B018
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("ids", "message"),
    [(10**6, "expected ids of the table rows"), (-1, "ids from -1"), (0.5, "float64")],
)
def test_ids_that_are_none_are_told(ids, message, fitted):
    slots = len(fitted.predictor.schema.slot_fields)
    dense = np.zeros((2, len(fitted.predictor.schema.dense)), np.float32)
    rows = Rows(np.full((2, slots), ids), None, dense, np.zeros(2, np.float32), None)
    with pytest.raises(InputError, match=message):
        fitted.predict(rows)


def test_without_a_name_nothing_is_left(tmp_path):
    fitted = afm_jax.fit(task(), store(), epochs=1, batch_size=1024)
    folder = fitted.folder
    assert folder.is_dir()
    del fitted
    assert not folder.exists()


def test_a_run_in_a_folder_goes_on_with_more_epochs(tmp_path):
    whole = afm_jax.fit(task(), store(), **OPTIONS)
    afm_jax.fit(task(), store(), epochs=1, batch_size=256, folder=tmp_path / "run")
    again = afm_jax.fit(task(), store(), **OPTIONS, folder=tmp_path / "run")
    assert again.metrics == whole.metrics
    with pytest.raises(InputError, match="holds a run with batch_size=256, found 64"):
        afm_jax.fit(task(), store(), epochs=3, batch_size=64, folder=tmp_path / "run")


def hinge(logits, labels):
    return jnp.maximum(0.0, 1.0 - (2 * labels - 1) * logits)


class Mean(nn.Module):
    """The mean of the fields' vectors, projected."""

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    width: int = 4

    @nn.compact
    def __call__(self, features, *, train=False):
        vectors = embedding.field_vectors(self, self.width, features).mean(axis=1)
        both = jnp.concatenate([vectors, features.dense], axis=-1)
        return nn.Dense(1, name="projection")(both)[:, 0]


Mean.init_stddev = 0.1


def test_own_models_and_own_losses_train_save_and_load(tmp_path):
    model = models.make(Mean, schema=store().schema, width=3)
    fitted = afm_jax.fit(task(model=model, loss=hinge), store(), **OPTIONS)
    assert fitted.metrics.keys() == {"validation", "test"}
    fitted.save(tmp_path / "run")
    for given, missing in (
        ({}, "load(..., model=Mean)"),
        ({"model": Mean}, "load(..., loss=...)"),
    ):
        with pytest.raises(InputError) as found:
            afm_jax.load(tmp_path / "run", **given)
        assert missing in str(found.value)
    loaded = afm_jax.load(tmp_path / "run", model=Mean, loss=hinge)
    frame = table(3, 60)
    np.testing.assert_array_equal(loaded.predict(frame), fitted.predict(frame))


def test_a_plateau_multiplies_the_updates_of_any_optimizer(tmp_path):
    still = task(optimizer=optax.sgd(0.0))
    fitted = afm_jax.fit(still, store(), epochs=5, batch_size=1024, patience=2)
    assert fitted.result["epochs"] < 5


def test_models_over_other_data_are_refused():
    other = models.make("fm", vocab_size=5, embedding_dim=3)
    with pytest.raises(InputError, match=r"vocab_size=5, the data have \d+"):
        afm_jax.fit(task(model=other), store(), epochs=1)
    size = store().schema.vocab_size
    other = models.make("fm", vocab_size=size, embedding_dim=3)
    with pytest.raises(InputError, match="slot_fields"):
        afm_jax.fit(task(model=other), store(), epochs=1)


WRONG = {
    "fit has no option 'epoch'": {"epoch": 3},
    "monitor": {"monitor": "acu"},
    "group_field: no field 'usr'": {"group_field": "usr"},
    "group_field: Field 'tags' can have several values": {"group_field": "tags"},
    "batch_size must be a whole number, 1 or more, found 0": {"batch_size": 0},
}


def test_a_model_in_place_of_a_task_and_data_in_place_of_a_store_are_told():
    with pytest.raises(InputError, match="task is a Model, expected a Task; write"):
        afm_jax.fit(task().model, store(), epochs=1)
    with pytest.raises(InputError, match="store is a dict, expected a Store; write"):
        afm_jax.fit(task(), {}, epochs=1)


@pytest.mark.parametrize("message", WRONG)
def test_mistakes_are_one_line(message):
    with pytest.raises(InputError) as found:
        afm_jax.fit(task(), store(), **{"epochs": 1} | WRONG[message])
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_new_rows_need_the_columns_of_the_old(fitted):
    with pytest.raises(InputError, match="the frame has no column 'item'"):
        fitted.predict(table(3, 9).drop("item"))
    wrong = table(3, 9).with_columns(price=pl.lit("cheap"))
    with pytest.raises(InputError, match="'price' is of type String, expected numbers"):
        fitted.predict(wrong)


def test_folders_that_hold_no_run_are_told(tmp_path, fitted):
    with pytest.raises(InputError, match="No run in"):
        afm_jax.load(tmp_path)
    fitted.save(tmp_path / "run")
    run = Run(tmp_path / "run")
    run.vocabularies.write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"vocabularies.parquet is damaged"):
        afm_jax.load(run.path).predict(table(3, 9))
    run.vocabularies.unlink()
    with pytest.raises(InputError, match="vocabulary of field 'user' is not known"):
        afm_jax.load(run.path).predict(table(3, 9))
    run.result.unlink()
    with pytest.raises(InputError, match="did not end"):
        afm_jax.load(run.path)


def test_a_folder_that_names_code_runs_none(fitted, tmp_path):
    fitted.save(tmp_path / "run")
    marker = tmp_path / "ran"
    code = tmp_path / "evil.py"
    code.write_text(f"import pathlib; pathlib.Path({str(marker)!r}).touch()")
    path = Run(tmp_path / "run").config
    config = json.loads(path.read_text())
    for name in (f"{code}:Model", "evil:Model", "os:system", "../evil", "evil.py"):
        for key in "model", "loss":
            path.write_text(json.dumps(config | {key: name}))
            with pytest.raises(InputError) as found:
                afm_jax.load(tmp_path / "run").predict(table(3, 9))
            assert "\n" not in str(found.value)
    assert not marker.exists()
    assert pathlib.Path(fitted.folder).exists()


@pytest.mark.parametrize("table_update", ["rows", "dense"])
@pytest.mark.parametrize(
    "tx",
    [optax.adafactor(0.1), optax.novograd(0.1), optax.chain(optax.zero_nans())],
    ids=["adafactor", "novograd", "zero_nans"],
)
def test_a_state_of_an_optimizer_that_is_not_by_table_rows_is_refused(tx, table_update):
    with pytest.raises(InputError, match="not one row for each table row") as caught:
        afm_jax.fit(task(optimizer=tx, table_update=table_update), store(), **OPTIONS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("table_update", ["rows", "dense"])
@pytest.mark.parametrize(
    "tx",
    [optax.contrib.reduce_on_plateau(), optax.lookahead(optax.sgd(0.1), 5, 0.5)],
    ids=["reduce_on_plateau", "lookahead"],
)
def test_an_optimizer_that_wants_more_than_gradients_is_refused(tx, table_update):
    with pytest.raises(InputError, match="does not work on gradients alone") as caught:
        afm_jax.fit(task(optimizer=tx, table_update=table_update), store(), **OPTIONS)
    assert "\n" not in str(caught.value)
