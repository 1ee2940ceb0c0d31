"""The programs as a user runs them: processes, exit codes, the JSON line."""

import gzip
import itertools
import json
import os
import pathlib
import re
import runpy
import shlex
import signal
import subprocess
import sys
import time

import pytest

from afm_jax.training.run.folder import Run
from docs import clicks
from experiments import train
from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[2]
FM = (
    "--model=fm",
    "--set=embedding_dim=4",
    "--set=init_stddev=0.05",
    "--learning_rate=0.004",
    "--log_every=20",
)


# A user's environment: one CPU device.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}


def start(*arguments, cwd=ROOT):
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def result_of(process):
    code, out, err = finish(process)
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


@pytest.fixture(scope="module")
def fm_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "fm"
    arguments = ("--epochs=2", f"--workdir={workdir}", *FM)
    code, out, err = finish(start("experiments.train", *arguments))
    assert code == 0, err
    (workdir.parent / "stderr").write_text(err)
    return workdir, json.loads(out.splitlines()[-1])


def test_the_result_stands_beside_the_best_possible(fm_run):
    workdir, result = fm_run
    assert set(result) == {
        "model",
        "dataset",
        "validation",
        "test",
        "best_possible",
        "epochs",
        "steps",
        "examples_per_second",
        "params",
        "workdir",
        "compilations",
        "compilations_cached",
        "compile_seconds",
        "seconds",
        "best_step",
        "seed",
        "device",
        "versions",
        "git_commit",
    }
    assert 0 < result["best_step"] <= result["steps"]
    assert result["seed"] == 0
    assert result["seconds"] > 0
    best, found = result["best_possible"]["test"], result["test"]
    assert 0.5 < found["auc"] < best["auc"] < 1
    assert found["log_loss"] > best["log_loss"] > 0
    written = {path.name for path in workdir.iterdir()}
    assert {"config.json", "schema.json", "metrics.jsonl", "checkpoints"} <= written


def test_a_run_says_what_it_trains_how_far_it_is_and_what_came_out(fm_run):
    workdir, result = fm_run
    err = (workdir.parent / "stderr").read_text()
    said = [
        "Data: synthetic, 26 fields and 13 dense columns; ",
        "Train: 200,000 rows, ",
        f"Model: fm, {result['params']:,} parameters.",
        f"Folder: {workdir}",
        r"First step after [\d.]+ s: loss 0\.\d{4}\.",
        r"Epoch 1 of 2: training loss 0\.\d{4}, validation AUC 0\.\d{4} \(best so far\)",
        "Best checkpoint: epoch ",
        rf"Test: AUC {result['test']['auc']:.4f} \(best possible 0\.8",
    ]
    assert re.search(".*".join(said), err, re.DOTALL), err
    steps = result["steps"] // result["epochs"]
    losses = {line["step"] for line in Run(workdir).read_metrics() if "loss" in line}
    assert {1, 10, 20, steps, 2 * steps} <= losses


def test_evaluate_agrees_with_train(fm_run):
    workdir, trained = fm_run
    found = result_of(start("experiments.evaluate", f"--workdir={workdir}"))
    assert found["metrics"]["auc"] == pytest.approx(trained["test"]["auc"], abs=1e-6)
    assert found["best_possible"] == trained["best_possible"]["test"]


def stopped(workdir, kind, *arguments):
    """Stops a run of this command once it has evaluated; the arguments that go on."""
    metrics = workdir / "metrics.jsonl"
    size = metrics.stat().st_size if metrics.exists() else 0
    # A process inherits what is ignored, as SIGHUP is where the tests run under nohup.
    before = signal.signal(kind, signal.SIG_DFL)
    process = start(*arguments)
    signal.signal(kind, before)
    while process.poll() is None and not (
        metrics.exists() and metrics.stat().st_size > size
    ):
        time.sleep(0.05)
    process.send_signal(kind)
    code, out, err = finish(process)
    assert code == 130, err
    assert not out
    assert int(re.search(r"after (?:step|epoch) (\d+)", err).group(1)) > 0
    hint = re.search(
        r"Go on with: (python -m experiments\.train .*)$", err, re.MULTILINE
    )
    _, _, *printed = shlex.split(hint[1])
    return printed


def test_what_asks_to_stop_saves_and_the_printed_command_goes_on(tmp_path):
    workdir = tmp_path / "a run"
    flags = (f"--workdir={workdir}", *FM, "--epochs=50", "--patience=0")
    printed = stopped(workdir, signal.SIGTERM, "experiments.train", *flags)
    printed = stopped(workdir, signal.SIGHUP, *printed)
    last = (workdir / "metrics.jsonl").read_text().splitlines()[-1]
    epochs = 1 + json.loads(last)["epoch"]
    result = result_of(start(*printed, f"--epochs={epochs}"))
    assert result["epochs"] == epochs
    config = json.loads((workdir / "config.json").read_text())
    assert (config["model"], config["log_every"], config["patience"]) == ("fm", 20, 0)


def test_one_command_serves_a_job_that_is_killed_and_started_again(fm_run, tmp_path):
    workdir = tmp_path / "run"
    command = ("experiments.train", "--resume", f"--workdir={workdir}", "--epochs=2")
    process = start(*command, *FM)
    while process.poll() is None and not Run(workdir).steps():
        time.sleep(0.02)
    process.kill()
    code, out, err = finish(process)
    assert (code, out) == (-signal.SIGKILL, "")
    assert f"--resume: there is no run in {workdir} yet; starting one." in err
    code, out, err = finish(start(*command, *FM))
    assert code == 0, err
    assert "Going on from step" in err
    assert "starting one" not in err
    found, expected = json.loads(out.splitlines()[-1]), fm_run[1]
    for name in ("validation", "test", "epochs", "steps"):
        assert found[name] == expected[name]


def told(capsys, *arguments):
    """Exit code, stdout and stderr of training in this process."""
    code = program.run(train.main, train.FLAGS, ["train", *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--model=fmm",), "Unknown model 'fmm'; choose from ('afm', 'afm_deep',"),
        (("--set=embeding_dim=4",), "has no hyperparameter 'embeding_dim'; it has"),
        (("--set=embedding_dim",), "expected --set=name=value"),
        (("--set=vocab_size=4",), "comes from the data"),
        (("--set=parent=4",), "has no hyperparameter 'parent'; it has"),
        (
            ("--optimizer_set=b3=1",),
            "adam has no hyperparameter 'b3'; it has ('b1', 'b2',",
        ),
        (("--optimizer_set=b2",), "expected --optimizer_set=name=value"),
        (("--optimizer=adamm",), "--optimizer=adamm: value should be one of"),
        (("--loss=focal", "--loss_set=gama=1"), "Did you mean 'gamma'?"),
        (
            ("--loss_set=gamma=1",),
            "sigmoid_cross_entropy has no hyperparameter 'gamma'",
        ),
        (("--monitor=gauc",), "monitor='gauc' needs the groups of the validation rows"),
        (("--learning_rate=nan",), "--learning_rate=nan: expected a finite number."),
        (("--seed=4294967296",), "flag --seed=4294967296"),
        (("--lerning_rate=1",), "did you mean --learning_rate?"),
        (("--epochs=no",), "epochs"),
        (("--dataset=criteo",), "needs --data_dir"),
        (("--dataset=criteo", "--data_dir=/nowhere"), "criteo"),
        (("--model=AFM",), "Did you mean 'afm'?"),
        (("--set=name=x",), "afm_deep has no hyperparameter 'name'; it has"),
        (("--lr=1",), "did you mean --learning_rate?"),
        (("--group_field=user",), "no field 'user'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, words, tmp_path, capsys):
    code, out, err = told(capsys, f"--workdir={tmp_path}/run", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_workdir_in_use_is_refused(fm_run, capsys):
    code, out, err = told(capsys, f"--workdir={fm_run[0]}")
    assert (code, out) == (2, "")
    assert "holds a run already" in err.splitlines()[-1]


def test_resume_with_other_settings_is_refused(fm_run, capsys):
    flags = (f"--workdir={fm_run[0]}", "--model=lr", "--resume")
    code, _, err = told(capsys, *flags)
    assert code == 2
    assert "was trained with" in err.splitlines()[-1]


def readme_blocks(language):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readme_library_example_runs(tmp_path, capsys, monkeypatch):
    pytest.importorskip("polars", reason="needs the extra 'data'")
    (example,) = readme_blocks("python")
    path = tmp_path / "example.py"
    path.write_text(example)
    monkeypatch.chdir(tmp_path)
    clicks.main()
    runpy.run_path(str(path))
    assert capsys.readouterr().out


def test_the_readme_commands_run(real_data, tmp_path):
    """On the first rows of Frappe."""
    (tmp_path / "raw/frappe").mkdir(parents=True)
    for path in (real_data / "frappe").glob("*.gz"):
        with gzip.open(path) as whole:
            rows = b"".join(itertools.islice(whole, 5_000))
        (tmp_path / "raw/frappe" / path.name).write_bytes(gzip.compress(rows))
    presets = pathlib.Path("experiments/presets")
    (tmp_path / presets.parent).mkdir()
    (tmp_path / presets).symlink_to(ROOT / presets)
    commands = [
        line
        for block in readme_blocks("sh")
        for line in block.splitlines()
        if line.startswith("python -m")
    ]
    commands = [line.partition("  #")[0] for line in commands]
    assert len(commands) == 12
    shortened = {
        "experiments.train": ["--epochs=1"],
        "experiments.compare": ["--epochs=1", "--resamples=100"],
        "experiments.benchmark": ["--windows=1", "--seconds=0.1"],
    }
    for command in commands:
        _, _, *arguments = shlex.split(command)
        arguments += shortened.get(arguments[0], [])
        code, out, err = finish(start(*arguments, cwd=tmp_path))
        assert code == 0, err
        if arguments[0] != "docs.clicks":
            json.loads(out.splitlines()[-1])
    blocks = "".join(readme_blocks("sh"))
    (line,) = re.findall(r"^\(cd exported .*\)$", blocks, re.MULTILINE)
    line = line.replace("python", sys.executable)
    told = subprocess.check_output(line, shell=True, cwd=tmp_path, env=ENVIRONMENT)
    assert 0 < float(told) < 1
