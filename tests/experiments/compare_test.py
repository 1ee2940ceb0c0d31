"""A comparison as a program: what it trains, what it keeps, what it refuses."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import programs
import pytest

from afm_jax.errors import InputError
from afm_jax.ops import metrics
from afm_jax.training.run.folder import Run
from experiments import compare, workdirs

BATCH_SIZE = 256
SHARED = (
    "--epochs=3",
    f"--batch_size={BATCH_SIZE}",
    "--log_every=2",
    "--resamples=200",
)
NAMES = ("lr", "small")


@pytest.fixture(scope="module")
def flagfile(tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "small.flags"
    path.write_text(
        "# A preset.\n--model=fm\n--set=embedding_dim=3\n--set=init_stddev=0.1\n"
        "--learning_rate=0.02\n--epochs=1\n"
    )
    return path


def run(workdir, flagfile, *arguments):
    return programs.run(
        compare,
        "--models=lr",
        f"--flagfiles={flagfile}",
        f"--workdir={workdir}",
        *SHARED,
        *arguments,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, flagfile):
    workdir = tmp_path_factory.mktemp("compare") / "whole"
    return workdir, run(workdir, flagfile, "--seeds=2")


def configs(workdir):
    return [
        json.loads((workdir / name / f"seed_{seed}" / "config.json").read_text())
        for name in NAMES
        for seed in (0, 1)
    ]


def test_every_model_is_trained_with_every_seed(whole):
    workdir, summary = whole
    assert list(summary["models"]) == [*NAMES]
    found = configs(workdir)
    assert [config["seed"] for config in found] == [0, 1, 0, 1]
    assert [config["model"] for config in found] == ["lr", "lr", "fm", "fm"]
    for name in ("table.md", "results.jsonl", "metrics.png", "cost.png"):
        assert (workdir / name).stat().st_size > 0


def test_a_preset_brings_flags_and_the_command_line_overrides_them(whole):
    lr, _, fm, _ = configs(whole[0])
    assert fm["set"] == ["embedding_dim=3", "init_stddev=0.1"]
    assert (lr["learning_rate"], fm["learning_rate"]) == (3e-3, 0.02)
    assert fm["epochs"] == 3


def test_the_summary_is_of_the_logits_left_by_the_runs(whole):
    workdir, summary = whole
    labels = programs.small_store().splits["test"].labels
    assert (summary["split"], summary["rows"]) == ("test", len(labels))
    for name in NAMES:
        aucs = [
            metrics.auc(
                np.load(Run(workdir / name / f"seed_{seed}").logits("test")),
                labels,
            )
            for seed in (0, 1)
        ]
        assert summary["models"][name]["auc"]["mean"] == pytest.approx(np.mean(aucs))


def without_time(summary):
    models = {
        name: {k: v for k, v in model.items() if "seconds" not in k}
        for name, model in summary["models"].items()
    }
    return {**summary, "models": models, "workdir": None}


KILLED = """
import os, pathlib, signal, sys
sys.path[:0] = sys.argv[1:3]
import compare_test, programs
from afm_jax.training import loop
trained, done = loop.train_and_evaluate, []
def train_and_evaluate(*arguments, advance, **settings):
    def count(rows, note):
        done.append(rows)
        if sum(done) > 8 * programs.small_store().schema.rows["train"]:  # epoch 3 of run 3
            os.kill(os.getpid(), signal.SIGKILL)
    return trained(*arguments, advance=count, **settings)
loop.train_and_evaluate = train_and_evaluate
compare_test.run(pathlib.Path(sys.argv[3]), sys.argv[4], "--seeds=2")
"""


def test_a_killed_comparison_goes_on_with_what_is_missing(
    whole, flagfile, tmp_path, caplog
):
    here = pathlib.Path(__file__).parent
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, here, here.parent, tmp_path / "run", flagfile],
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = sorted((tmp_path / "run").glob("*/*/result.json"))
    assert [str(path.parent)[-10:] for path in done] == ["/lr/seed_0", "all/seed_0"]
    before = [path.stat().st_mtime_ns for path in done]
    with caplog.at_level("INFO"):
        summary = run(tmp_path / "run", flagfile, "--seeds=2")
    assert [path.stat().st_mtime_ns for path in done] == before
    assert "Run 3 of 4: lr, seed 1." in caplog.text
    assert re.search(r"Run 4 of 4: small, seed 1\. About \d+ s left\.", caplog.text)
    assert "Going on from step" in caplog.text
    assert without_time(summary) == without_time(whole[1])


def test_a_folder_is_of_one_comparison_until_it_ends(flagfile, tmp_path, monkeypatch):
    trained, refused = compare.train.run, []

    def train_while_another_starts():
        with (
            pytest.raises(InputError, match="is in use by another process"),
            workdirs.held(tmp_path / "run"),
        ):
            pass
        refused.append(True)
        return trained()

    monkeypatch.setattr(compare.train, "run", train_while_another_starts)
    run(tmp_path / "run", flagfile, "--seeds=1", "--noplots")
    assert refused == [True, True]


def test_a_second_comparison_in_a_folder_is_refused_at_once(flagfile, tmp_path):
    with (
        workdirs.held(tmp_path / "run"),
        pytest.raises(InputError, match="is in use by another process"),
    ):
        run(tmp_path / "run", flagfile, "--seeds=1")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_a_run_is_not_compared_in(whole, flagfile):
    folder = whole[0] / "lr" / "seed_0"
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError, match=r"seed_0 holds a run of experiments\.train"):
        run(folder, flagfile, "--seeds=1")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("path", "is_folder"),
    [
        ("", False),
        ("table.md", True),
        ("results.jsonl", True),
        ("cost.png", True),
        ("lr", False),
        ("lr/seed_1", False),
        ("lr/seed_0/result.json", True),
        ("lr/seed_0/config.json", True),
        ("small/seed_0/logits", False),
        ("small/seed_0/logits/test.npy", True),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_is_trained(
    path, is_folder, flagfile, tmp_path, caplog
):
    in_the_way = tmp_path / "run" / path
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        in_the_way.mkdir()
    else:
        in_the_way.touch()
    told = (
        "is a file; expected a folder"
        if not path
        else f"{path} is no (file|folder), but one is to"
    )
    with pytest.raises(InputError, match=told), caplog.at_level("INFO"):
        run(tmp_path / "run", flagfile, "--seeds=2")
    assert "Run " not in caplog.text


def test_the_same_command_again_trains_nothing(whole, flagfile, caplog):
    with caplog.at_level("INFO"):
        again = run(whole[0], flagfile, "--seeds=2")
    assert again == whole[1]
    assert "Run " not in caplog.text


def test_a_smaller_comparison_uses_the_runs_that_are_there(whole, flagfile, caplog):
    with caplog.at_level("INFO"):
        found = run(whole[0], flagfile, "--seeds=1", "--reference=small", "--noplots")
    assert "Run " not in caplog.text
    assert list(found["differences"]) == ["lr"]
    assert found["models"]["lr"]["auc"]["sd"] is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("schema.json", None),
        ("result.json", b"{"),
        ("result.json", b"{}"),
        ("logits/test.npy", None),
        ("logits/test.npy", b"\x93NUMPY"),
    ],
)
def test_what_is_damaged_of_a_finished_run_is_made_again(
    whole, flagfile, tmp_path, caplog, file, content
):
    shutil.copytree(whole[0], tmp_path / "run")
    path = tmp_path / "run/lr/seed_0" / file
    before = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with caplog.at_level("INFO"):
        again = run(tmp_path / "run", flagfile, "--seeds=2", "--noplots")
    assert caplog.text.count("Run ") == 1
    assert "First step" not in caplog.text
    assert without_time(again) == without_time(whole[1])
    if path.suffix == ".npy":
        assert path.read_bytes() == before


def test_without_a_test_split_validation_is_reported(tmp_path):
    store = programs.small_store()
    splits = {name: store.splits[name] for name in ("train", "validation")}
    probabilities = {name: store.probabilities[name] for name in splits}
    found = programs.run(
        compare,
        "--models=lr",
        "--seeds=1",
        f"--workdir={tmp_path}/run",
        *SHARED,
        store=store._replace(splits=splits, probabilities=probabilities),
    )
    assert (found["split"], found["rows"]) == ("validation", 300)
    assert "no test split" in (tmp_path / "run/table.md").read_text()


def test_a_run_that_fails_is_told_when_the_others_are_done(flagfile, tmp_path):
    bad = tmp_path / "bad.flags"
    bad.write_text("--model=fm\n--set=embedding_dim=3\n--learning_rate=1e30\n")
    with pytest.raises(InputError, match=r"1 of 2 runs failed.*bad, seed 0: The loss"):
        programs.run(
            compare,
            f"--flagfiles={bad},{flagfile}",
            "--seeds=1",
            f"--workdir={tmp_path}/run",
            *SHARED,
            "--log_every=1",
        )
    assert (tmp_path / "run/small/seed_0/result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name --models, --flagfiles or both"),
        (("--models=lr,fmm",), "fmm: Unknown model 'fmm'"),
        (("--models=lr,lr",), "'lr' is there twice"),
        (("--models=lr,,fm",), "--models=lr,,fm: a name is empty"),
        (("--models=lr", "--set=embedding_dim=3"), "lr: lr has no hyperparameter"),
        (("--models=lr", "--reference=fm"), r"--reference=fm is none of \('lr',\)"),
        (("--models=lr", "--lerning_rate=1"), "did you mean --learning_rate"),
        (("--models=lr,fm,afm,nfm", "--resamples=100"), "too few .* 4 .* give 120"),
        (("--models=lr", "--model=fm"), "Unknown flag --model"),
        (("--flagfiles=/nowhere/a.flags",), "no file /nowhere/a.flags"),
        (("--flagfiles={here}/empty",), "holds no"),
        (("--flagfiles={here}/misspelt.flags",), "misspelt: Unknown flag --epoch"),
        (("--models=lr", "--flagfiles={here}/other.flags"), "on the same data"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(arguments, words, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "misspelt.flags").write_text("--model=fm\n--epoch=3\n")
    (tmp_path / "other.flags").write_text("--model=fm\n--dataset=frappe\n")
    arguments = [argument.format(here=tmp_path) for argument in arguments]
    with pytest.raises(InputError, match=words):
        programs.run(compare, f"--workdir={tmp_path}/run", *arguments)
    assert not (tmp_path / "run").exists()
