"""What --resume takes from a run, and the command that goes on with it."""

import json
import logging
import shlex

import programs
import pytest

from afm_jax.errors import InputError
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import resuming, train
from experiments.cli import program

FLAGS = (
    "--model=fm",
    "--set=embedding_dim=3",
    "--set=init_stddev=0.1",
    "--epochs=2",
    "--batch_size=256",
    "--log_every=2",
    "--optimizer=adagrad",
    "--patience=0",
)


@pytest.fixture(scope="module")
def fm_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "it's a run"
    programs.run(train, *FLAGS, f"--workdir={workdir}")
    return workdir


def taken(workdir, *arguments):
    program.parse(train.FLAGS, ["train", *arguments])
    resuming.take_flags(train.FLAGS, train.config(), workdir)
    return train.config()


def test_flags_that_are_not_given_are_those_of_the_run(fm_run):
    assert taken(fm_run) == read_config(Run(fm_run))


def test_flags_that_are_given_hold(fm_run):
    found = taken(fm_run, "--epochs=9", "--log_every=7")
    assert (found["epochs"], found["log_every"]) == (9, 7)
    assert found["optimizer"] == "adagrad"


def test_what_a_run_computes_may_not_be_given_otherwise(fm_run):
    for flag in "--model=lr", "--set=embedding_dim=4", "--seed=3":
        with pytest.raises(InputError, match=f"was trained with --.* found {flag[:5]}"):
            taken(fm_run, flag)


def test_the_command_that_goes_on_does_so_as_printed(fm_run):
    python, m, module, *arguments = shlex.split(resuming.command(fm_run))
    assert (python, m, module) == ("python", "-m", "experiments.train")
    result = json.loads((fm_run / "result.json").read_text())
    again = programs.run(train, *arguments)
    assert again["test"] == result["test"]
    longer = programs.run(train, *arguments, "--epochs=3")
    assert longer["epochs"] == 3


def test_where_there_is_no_run_one_starts_and_a_line_says_so(tmp_path, caplog):
    workdir = f"--workdir={tmp_path}/run"
    short = ("--model=lr", "--batch_size=256", "--epochs=1", "--resume", workdir)
    started = f"--resume: there is no run in {tmp_path}/run yet; starting one."
    with caplog.at_level(logging.INFO, "experiments"):
        assert programs.run(train, *short)["epochs"] == 1
        assert caplog.messages.count(started) == 1
        assert programs.run(train, *short)["epochs"] == 1
    assert caplog.messages.count(started) == 1


def test_a_refusal_names_the_flag_and_both_values(fm_run):
    told = r"was trained with --optimizer=adagrad, found --optimizer=adam\.$"
    with pytest.raises(InputError, match=told):
        taken(fm_run, "--optimizer=adam")


def test_a_run_without_its_config_is_not_gone_on_with(fm_run, tmp_path):
    (tmp_path / "checkpoints" / "7").mkdir(parents=True)
    with pytest.raises(InputError, match=r"no config\.json"):
        programs.run(train, "--resume", f"--workdir={tmp_path}")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("epochs", "many", "--epochs=many: expected a whole number, found 'many'"),
        ("epochs", 10**30, "expected at most"),
        ("epochs", -1, "--epochs=-1"),
        ("loss", "BCE", "Unknown loss 'BCE'; choose from"),
        ("learning_rate", [1], "--learning_rate"),
        ("workers", 3, None),
    ],
)
def test_a_config_of_values_that_no_flag_accepts_is_told(
    fm_run, tmp_path, name, value, told
):
    config = json.loads((fm_run / "config.json").read_text())
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**config, name: value}))
    if told is None:  # of a version that had more flags
        assert taken(tmp_path) == read_config(Run(fm_run))
        return
    with pytest.raises(InputError) as refused:
        taken(tmp_path)
    assert str(refused.value).startswith(f"{path}: ")
    assert told in str(refused.value)
