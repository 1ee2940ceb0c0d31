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

from experiments import train
from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[2]
FM = (
    *("--model=fm", "--set=embedding_dim=4", "--set=init_stddev=0.05"),
    *("--learning_rate=0.004", "--log_every=20"),
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
    return workdir, result_of(start("experiments.train", *arguments))


def test_the_result_stands_beside_the_best_possible(fm_run):
    workdir, result = fm_run
    assert set(result) == {
        *("model", "dataset", "validation", "test", "best_possible", "epochs"),
        *("steps", "examples_per_second", "params", "workdir"),
        *("compilations", "compilations_cached", "compile_seconds"),
    }
    best, found = result["best_possible"]["test"], result["test"]
    assert 0.5 < found["auc"] < best["auc"] < 1
    assert found["log_loss"] > best["log_loss"] > 0
    written = {path.name for path in workdir.iterdir()}
    assert {"config.json", "schema.json", "metrics.jsonl", "checkpoints"} <= written


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
        (("--optimizer_set=b3=1",), "adam has no setting 'b3'; it has ('b1', 'b2',"),
        (("--optimizer_set=b2",), "expected --optimizer_set=name=value"),
        (("--optimizer=adamm",), "--optimizer=adamm: value should be one of"),
        (("--loss=focal", "--loss_set=gama=1"), "Did you mean 'gamma'?"),
        (("--loss_set=gamma=1",), "sigmoid_cross_entropy has no setting 'gamma'"),
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


def test_the_readme_library_example_runs(tmp_path, capsys):
    (example,) = readme_blocks("python")
    path = tmp_path / "example.py"
    path.write_text(example)
    runpy.run_path(str(path))
    assert capsys.readouterr().out


def test_the_readme_commands_run(real_data, tmp_path):
    """On the first rows of Frappe."""
    (tmp_path / "raw/frappe").mkdir(parents=True)
    for path in (real_data / "frappe").glob("*.gz"):
        with gzip.open(path) as whole:
            rows = b"".join(itertools.islice(whole, 5_000))
        (tmp_path / "raw/frappe" / path.name).write_bytes(gzip.compress(rows))
    presets = pathlib.Path("experiments/flagfiles")
    (tmp_path / presets.parent).mkdir()
    (tmp_path / presets).symlink_to(ROOT / presets)
    commands = [
        line
        for block in readme_blocks("sh")
        for line in block.splitlines()
        if line.startswith("python -m")
    ]
    assert len(commands) == 7
    shortened = {
        "experiments.train": ["--epochs=1"],
        "experiments.compare": ["--epochs=1", "--resamples=100"],
        "experiments.benchmark": ["--windows=1", "--seconds=0.1"],
    }
    for command in commands:
        _, _, *arguments = shlex.split(command)
        arguments += shortened.get(arguments[0], [])
        result_of(start(*arguments, cwd=tmp_path))
