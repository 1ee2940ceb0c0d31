"""Pictures are drawn whatever is missing from the numbers."""

import json
import sys

import programs
import pytest

from afm_jax.errors import InputError
from experiments import plots, report


@pytest.mark.parametrize(
    ("seeds", "loss", "metric"),
    [
        (3, "sigmoid_cross_entropy", "auc"),
        (1, "squared_error", "auc"),
        (2, "regression", "mae"),
    ],
)
def test_three_pictures_are_drawn(tmp_path, seeds, loss, metric):
    compared, labels = programs.made_up_runs(
        {"one": 1.0, "two": 2.0}, seeds=seeds, loss=loss
    )
    summary = report.summarize(compared, labels, "test", "one", resamples=100)
    moved = {}
    for name, several in compared.items():
        moved[name] = []
        for run in several:
            workdir = tmp_path / name / str(run.seed)
            workdir.mkdir(parents=True)
            lines = [
                {"step": 2 * epoch, "epoch": epoch, "validation": run.result["test"]}
                for epoch in (1, 2)
            ]
            text = [
                json.dumps(line) + "\n" for line in [{"step": 1, "loss": 0.5}, *lines]
            ]
            (workdir / "metrics.jsonl").write_text("".join(text))
            moved[name].append(run._replace(workdir=workdir))
    plots.draw(tmp_path, summary, moved)
    for name in ("metrics", "learning_curves", "cost"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    epochs, values = plots._curve(moved["two"][0].workdir, metric)
    assert epochs == [1, 2]
    assert values == [moved["two"][0].result["test"][metric]] * 2


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    plots.check()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"\[plots\].*--noplots"):
        plots.check()
