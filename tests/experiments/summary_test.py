"""What a training says of its data and of its result."""

import itertools
import logging

import programs

from afm_jax.training import evaluation
from experiments import summary, train


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def test_the_data_are_told_with_the_positives_of_each_split(caplog):
    store = programs.small_store()
    with caplog.at_level(logging.INFO, "experiments"):
        summary.tell_data(store)
    lines = told(caplog)
    assert lines[0].startswith("Data: synthetic, 26 fields and 13 dense columns; ")
    positives = int(store.splits["test"].labels.sum())
    assert lines[-1].startswith(f"Test: 400 rows, {positives} positive (")


def test_the_result_is_told_in_words_beside_the_best_possible(caplog):
    result = {
        "best_step": 2_000,
        "steps": 5_000,
        "epochs": 5,
        "validation": None,
        "test": {"auc": 0.75, "log_loss": 0.5, "rows": 9},
        "best_possible": {"test": {"auc": 0.875}},
    }
    with caplog.at_level(logging.INFO, "experiments"):
        summary.tell_result(result)
        summary.tell_result(result | {"best_possible": None})
    assert told(caplog) == [
        "Best checkpoint: epoch 2, step 2,000.",
        "Test: AUC 0.7500 (best possible 0.8750), log loss 0.5000.",
        "Best checkpoint: epoch 2, step 2,000.",
        "Test: AUC 0.7500, log loss 0.5000.",
    ]


def test_a_run_tells_what_an_evaluation_that_is_not_the_best_leads_to(
    tmp_path, monkeypatch, caplog
):
    aucs = itertools.chain([0.6, 0.7, 0.65, 0.69], itertools.repeat(0.5))
    monkeypatch.setattr(
        evaluation, "metrics_of", lambda *columns, loss: {"auc": next(aucs)}
    )
    flags = ("--model=lr", "--epochs=9", "--patience=2", "--learning_rate=0.01")
    with caplog.at_level(logging.INFO, "afm_jax"):
        result = programs.run(train, *flags, f"--workdir={tmp_path}/run")
    said = [line for line in told(caplog) if line.startswith(("Epoch", "Lear", "Stop"))]
    assert [line.rpartition(", validation ")[2] for line in said] == [
        "AUC 0.6000 (best so far).",
        "AUC 0.7000 (best so far).",
        "AUC 0.6500 (best: 0.7000).",
        "Learning rate cut to 0.001.",
        "AUC 0.6900 (best: 0.7000).",
        "Stopped after epoch 4: 2 evaluations in a row without a better validation AUC.",
    ]
    assert result["best_step"] * result["epochs"] == 2 * result["steps"]
