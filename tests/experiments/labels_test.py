"""What labels and weights of a store do in a run: regression, probabilities, weights."""

import numpy as np
import programs
import pytest
from sklearn import metrics as sklearn_metrics

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.preparation import builder
from afm_jax.data.preparation.raw_builder import CsvBuilder
from afm_jax.data.store.reader import open_store
from afm_jax.errors import InputError
from afm_jax.training.run.folder import Run
from experiments import compare, evaluate, train

LR = (
    "--model=lr",
    "--optimizer=adagrad",
    "--learning_rate=0.1",
    "--batch_size=128",
    "--epochs=2",
    "--log_every=1000",
)
SHIFTS = np.array([-2.0, -1.0, 0.0, 0.5, 1.0])


def items(rows, seed):
    """Random numbers, the item of each row, and its log odds or its mean."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, len(SHIFTS), rows)
    return rng, item, SHIFTS[item]


def made(folder, splits, **options):
    """The store of three files."""
    (folder / "in").mkdir()
    for split, columns in splits.items():
        pl.DataFrame(columns).write_csv(folder / "in" / f"{split}.csv")
    options = {"label": "y", "categorical": ("item",), **options}
    builder.build(
        CsvBuilder, data_dir=folder, name="t", source=folder / "in", options=options
    )
    return open_store(folder, "t")


def each_split(columns, sizes=(3000, 500, 1500)):
    names = ("train", "validation", "test")
    pairs = enumerate(zip(names, sizes, strict=True))
    return {name: columns(rows, seed) for seed, (name, rows) in pairs}


def real(rows, seed):
    rng, item, mean = items(rows, seed)
    return {"item": item, "y": 40 + 10 * mean + rng.normal(0, 2.0, rows)}


@pytest.fixture(scope="module")
def real_store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    return made(folder, each_split(real), real_labels=True)


REGRESSION = (
    *LR,
    "--loss=regression",
    "--monitor=rmse",
    "--learning_rate=5",
    "--epochs=3",
)


def test_a_regression_predicts_the_mean_of_its_rows(real_store, tmp_path):
    workdir = f"--workdir={tmp_path}/run"
    result = programs.run(train, *REGRESSION, workdir, store=real_store)
    assert set(result["test"]) == {"rmse", "mae", "rows"}
    # The noise has standard deviation 2, and mean distance 2 sqrt(2 / pi) to 0.
    assert result["test"]["rmse"] == pytest.approx(2.0, rel=0.06)
    assert result["test"]["mae"] == pytest.approx(1.596, rel=0.06)
    found = programs.run(evaluate, workdir, store=real_store)
    assert found["metrics"] == pytest.approx(result["test"], rel=1e-5)
    logits = Run(tmp_path / "run").read_logits("test", 1500)
    labels = real_store.splits["test"].labels
    for item in np.unique(real_store.splits["test"].ids):
        rows = real_store.splits["test"].ids[:, 0] == item
        assert logits[rows].mean() == pytest.approx(labels[rows].mean(), abs=0.5)


def test_models_of_real_labels_are_compared_by_distances(real_store, tmp_path):
    flags = ("--models=lr,fm", "--seeds=1", "--resamples=100", *REGRESSION[1:])
    found = programs.run(compare, *flags, f"--workdir={tmp_path}", store=real_store)
    assert found["tested"] == ["rmse", "mae"]
    assert set(found["differences"]["fm"]) == {"rmse", "mae"}
    assert "RMSE" in (tmp_path / "table.md").read_text()


def test_losses_and_metrics_of_other_labels_are_one_line(real_store, tmp_path):
    workdir = f"--workdir={tmp_path}/run"
    for flags, store, told in [
        (
            (),
            real_store,
            "labels of t are real numbers, .*choose a loss from regression",
        ),
        (
            ("--loss=regression",),
            None,
            "labels of synthetic are 0 or 1, .*choose a loss from sigmoid_cross_entropy,",
        ),
        (
            ("--loss=regression",),
            real_store,
            "monitor='auc' is not measured .*choose a monitor from rmse, mae",
        ),
    ]:
        with pytest.raises(InputError, match=told) as refused:
            programs.run(train, *LR, *flags, workdir, store=store)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "run").exists()


def soft(rows, seed):
    _, item, log_odds = items(rows, seed)
    return {"item": item, "y": 1 / (1 + np.exp(-log_odds))}


def test_labels_that_are_probabilities_are_learned(tmp_path):
    store = made(tmp_path, each_split(soft))
    assert store.schema.label_kind == "probability"
    workdir = f"--workdir={tmp_path}/run"
    flags = (*LR, "--monitor=log_loss", "--learning_rate=0.5", workdir)
    found = programs.run(train, *flags, store=store)["test"]
    assert set(found) == {"log_loss", "rmse", "calibration", "rows"}
    y = store.splits["test"].labels.astype(np.float64)
    least = -np.mean(y * np.log(y) + (1 - y) * np.log1p(-y))
    assert least < found["log_loss"] < least + 0.002
    assert found["rmse"] < 0.03
    assert found["calibration"] == pytest.approx(1.0, abs=0.02)
    with pytest.raises(InputError, match="choose a monitor from log_loss, rmse"):
        programs.run(train, *LR, f"--workdir={tmp_path}/other", store=store)


def sampled(rows, seed):
    """Rare clicks, of whose negatives one in ten is kept, with weight 10."""
    rng, item, log_odds = items(rows, seed)
    y = (rng.random(rows) < 1 / (1 + np.exp(2.5 - log_odds))).astype(int)
    kept = (y == 1) | (rng.random(rows) < 0.1)
    if seed == 2:  # the test rows are as they came
        kept[:] = True
    weights = np.where((y == 0) & (seed < 2), 10.0, 1.0)
    return {"item": item[kept], "y": y[kept], "w": weights[kept]}


@pytest.mark.parametrize("weighted", [True, False])
def test_weights_make_up_for_negatives_that_were_left_out(tmp_path, weighted):
    splits = each_split(sampled, (30_000, 6_000, 20_000))
    store = made(tmp_path, splits, **({"weight": "w"} if weighted else {}))
    workdir = f"--workdir={tmp_path}/run"
    learned = ("--base_logit=0", "--learning_rate=0.5", "--monitor=log_loss")
    learned += ("--batch_size=1000", "--epochs=12")
    flags = (*LR, *learned, "--group_field=item", workdir)
    result = programs.run(train, *flags, store=store)
    calibration = result["test"]["calibration"]
    if not weighted:
        assert calibration > 4
        return
    assert calibration == pytest.approx(1.0, abs=0.12)
    rows = store.splits["validation"]
    logits = Run(tmp_path / "run").read_logits("validation", len(rows.labels))
    weights = {"sample_weight": splits["validation"]["w"]}
    found, scores = result["validation"], 1 / (1 + np.exp(-logits))
    assert found["auc"] == pytest.approx(
        sklearn_metrics.roc_auc_score(rows.labels, logits, **weights)
    )
    assert found["log_loss"] == pytest.approx(
        sklearn_metrics.log_loss(rows.labels, scores, **weights), rel=1e-5
    )
    assert found["gauc"] == 0.5  # within an item all predictions are one
    found = programs.run(evaluate, workdir, "--split=validation", store=store)
    assert found["metrics"]["auc"] == pytest.approx(result["validation"]["auc"])
