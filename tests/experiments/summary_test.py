"""What a training says of its data and of its result."""

import logging

import programs

from experiments import summary


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
