"""What a comparison says follows from its runs, and no more than that."""

import json

import numpy as np
import programs
import pytest

from experiments import report, statistics


def summarize(strengths, *, reference="one", **settings):
    compared, labels = programs.made_up_runs(strengths, **settings)
    return report.summarize(compared, labels, "test", reference, resamples=200)


def test_means_and_deviations_are_over_seeds():
    compared, labels = programs.made_up_runs({"one": 1.0, "two": 1.5})
    found = report.summarize(compared, labels, "test", "one", resamples=100)
    for name, several in compared.items():
        values = [run.result["test"]["auc"] for run in several]
        assert found["models"][name]["auc"] == {
            "mean": pytest.approx(np.mean(values)),
            "sd": pytest.approx(np.std(values, ddof=1)),
        }
        # 1, 3 and 4 epochs of 200 rows at 50 rows a second; the second is not known.
        seconds = found["models"][name]["seconds"]
        assert seconds["mean"] == pytest.approx((4 + 12 + 16) / 3)
    ours, theirs = (found["models"][name]["auc"]["mean"] for name in ("two", "one"))
    difference = found["differences"]["two"]["auc"]
    assert difference["mean"] == pytest.approx(ours - theirs)


def test_a_model_is_better_by_a_higher_auc_and_a_lower_log_loss():
    found = summarize({"one": 1.0, "two": 2.5, "same": 1.0})["differences"]
    assert list(found) == ["two", "same"]
    assert found["two"]["auc"]["mean"] > 0 > found["two"]["log_loss"]["mean"]
    assert {found["two"][m]["verdict"] for m in ("auc", "log_loss")} == {"better"}
    assert {found["same"][m]["verdict"] for m in ("auc", "log_loss")} == {
        "no difference shown"
    }
    turned = summarize({"one": 1.0, "two": 2.5}, reference="two")["differences"]
    assert {turned["one"][m]["verdict"] for m in ("auc", "log_loss")} == {"worse"}


def test_p_values_are_corrected_for_the_number_of_models():
    strengths = {"one": 1.0, "two": 1.02, "three": 1.04, "four": 1.01}
    found = summarize(strengths)["differences"]
    raw = [each["auc"]["p"] for each in found.values()]
    assert len(set(raw)) == 3
    assert [each["auc"]["p_holm"] for each in found.values()] == statistics.holm(raw)


@pytest.mark.parametrize(
    ("metric", "low", "high", "p_holm", "seeds", "expected"),
    [
        ("auc", 0.1, 0.3, 0.01, 5, "better"),
        ("auc", -0.3, -0.1, 0.01, 5, "worse"),
        ("log_loss", -0.3, -0.1, 0.01, 5, "better"),
        ("log_loss", 0.1, 0.3, 0.01, 5, "worse"),
        ("auc", -0.1, 0.3, 0.01, 5, "no difference shown"),
        ("auc", 0.1, 0.3, 0.05, 5, "no difference shown"),
        ("auc", 0.1, 0.3, 0.01, 1, "no difference shown"),
    ],
)
def test_a_verdict_needs_interval_corrected_p_and_seeds(
    metric, low, high, p_holm, seeds, expected
):
    found = statistics.Difference((low + high) / 2, low, high, 0.001)
    assert report.verdict(metric, found, p_holm, seeds) == expected


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "seeds", "expected"),
    [
        (0.1, 0.3, 0.01, 1, "one seed"),
        (-0.3, -0.1, 0.2, 1, "one seed"),
        (0.1, 0.3, 0.05, 2, "the corrected p is not below 0.05"),
        (-0.3, -0.1, 0.2, 5, "the corrected p is not below 0.05"),
        (0.1, 0.3, 0.01, 2, None),
        (-0.1, 0.3, 0.2, 1, None),
        (0.0, 0.3, 0.04, 5, None),
    ],
)
def test_an_interval_without_0_that_shows_no_difference_has_its_reason(
    low, high, p_holm, seeds, expected
):
    found = statistics.Difference((low + high) / 2, low, high, 0.001)
    reason = report.reason(found, p_holm, seeds)
    assert reason == expected or (expected and reason.startswith(expected))
    undecided = report.verdict("auc", found, p_holm, seeds) == "no difference shown"
    assert bool(reason) == (undecided and not low <= 0 <= high)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_table_gives_the_reason_beside_the_verdict(seeds):
    found = summarize({"one": 1.0, "two": 2.5}, seeds=seeds)
    row = found["differences"]["two"]["auc"]
    row.update(verdict="no difference shown", reason="the moon")
    assert "| no difference shown: the moon |" in report.table(found)
    row.update(reason=None)
    assert "| no difference shown |" in report.table(found)


def test_one_seed_has_no_deviation_and_no_verdict():
    found = summarize({"one": 1.0, "two": 2.5}, seeds=1)
    assert found["models"]["two"]["auc"]["sd"] is None
    difference = found["differences"]["two"]["auc"]
    assert difference["low"] > 0
    assert difference["verdict"] == "no difference shown"
    assert difference["reason"].startswith("one seed")
    text = report.table(found)
    assert "±" not in text.partition("| model |")[2]
    assert "With one seed" in text
    json.dumps(found, allow_nan=False)


def test_a_regression_has_no_log_loss_to_compare():
    found = summarize({"one": 1.0, "two": 2.5}, loss="squared_error")
    assert found["models"]["two"]["log_loss"] == {"mean": None, "sd": None}
    assert found["differences"]["two"]["log_loss"] is None
    assert found["differences"]["two"]["auc"]["verdict"] == "better"
    assert "| - | " in report.table(found)


def test_models_of_real_labels_are_told_apart_by_rmse_and_mae():
    found = summarize({"one": 1.0, "two": 2.5}, loss="regression", seeds=3)
    assert found["tested"] == ["rmse", "mae"]
    assert {"rmse", "mae"} < set(found["models"]["one"])
    assert "auc" not in found["models"]["one"]
    for metric in found["tested"]:
        assert found["differences"]["two"][metric]["verdict"] == "worse"
    text = report.table(found)
    assert "RMSE" in text
    assert "AUC" not in text


def test_the_table_says_which_split_it_reports_and_how_epochs_were_chosen():
    found = summarize({"one": 1.0, "two": 2.5})
    text = report.table(found)
    assert "Reported split: test, 600 rows" in text
    assert "best on validation" in text
    text = report.table({**found, "split": "validation"})
    assert "no test split" in text
    assert "a little too good" in text


def test_every_row_of_the_table_has_the_columns_of_its_head():
    text = report.table(summarize({"one": 1.0, "two": 2.5, "three": 1.1}))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4 + 2 + 2
    for part in (rows[:6], rows[6:]):
        assert len({row.count("|") for row in part}) == 1


def test_write_leaves_a_line_for_each_run(tmp_path):
    compared, labels = programs.made_up_runs({"one": 1.0, "two": 2.5}, seeds=3)
    found = report.summarize(compared, labels, "test", "one", resamples=100)
    report.write(tmp_path, found, compared)
    lines = [
        json.loads(line)
        for line in (tmp_path / "results.jsonl").read_text().split("\n")[:-1]
    ]
    assert [(line["name"], line["seed"]) for line in lines] == [
        (name, seed) for name in ("one", "two") for seed in range(3)
    ]
    assert lines[4]["test"] == compared["two"][1].result["test"]
    assert (tmp_path / "table.md").read_text() == report.table(found)
