"""What describes a run in its folder, what may change, and who may train in it."""

import contextlib
import json
import subprocess
import sys

import pytest

from afm_jax.errors import InputError
from afm_jax.features import Field, Schema
from afm_jax.training.run.config import NEEDED, read_config
from afm_jax.training.run.folder import Run
from experiments import evaluate, pairs, train, workdirs
from experiments.cli import program

SCHEMA = Schema("toy", (Field("user", "categorical", 40, 0),))
CONFIG = {
    **{"model": "fm", "set": ["embedding_dim=4"], "dataset": "toy", "data_dir": "d"},
    **{"loss": "squared_error", "monitor": "rmse", "epochs": 3},
    **{"compute_dtype": "float32", "attention_l2": 0.0, "table_sharding": "replicated"},
    **{"base_logit": "auto", "untrained_rows": "mean"},
    **{"loss_set": [], "optimizer_set": ["b2=0.99"]},
    "schedule": "constant",
}


@pytest.fixture
def started(tmp_path):
    workdir = tmp_path / "runs" / "one"
    workdir.mkdir(parents=True)
    workdirs.start(workdir, CONFIG, SCHEMA, resume=False)
    return workdir


def test_a_run_is_described_by_its_folder(started):
    assert read_config(Run(started)) == CONFIG
    assert Schema.from_json((started / "schema.json").read_text()) == SCHEMA
    assert len(list(started.iterdir())) == 2


def test_an_older_run_had_what_there_was_no_flag_for(started):
    later = {
        **{"monitor": "auc", "compute_dtype": "float32", "attention_l2": 0.0},
        **{"base_logit": "0", "untrained_rows": "keep"},
        **{"loss_set": [], "optimizer_set": []},
    }
    older = {k: v for k, v in CONFIG.items() if k not in later}
    (started / "config.json").write_text(json.dumps(older))
    expected = {**older, **later}
    assert read_config(Run(started)) == expected


def test_how_long_and_where_a_run_trains_may_change_when_it_is_resumed(started):
    changed = {**CONFIG, "epochs": 9, "table_sharding": "rows"}
    workdirs.start(started, changed, SCHEMA, resume=True)
    assert read_config(Run(started)) == changed


def test_the_length_of_a_run_may_not_where_its_schedule_depends_on_it(tmp_path):
    config = {**CONFIG, "epochs": 2, "patience": 1, "schedule": "cosine"}
    workdirs.start(tmp_path, config, SCHEMA, resume=False)
    with pytest.raises(InputError, match="trained with --epochs=2, found --epochs=9"):
        workdirs.start(tmp_path, {**config, "epochs": 9}, SCHEMA, resume=True)
    workdirs.start(tmp_path, {**config, "patience": 3}, SCHEMA, resume=True)


def test_patience_may_only_grow(tmp_path):
    workdirs.start(tmp_path, {**CONFIG, "patience": 2}, SCHEMA, resume=False)
    with pytest.raises(InputError, match="trained with --patience=2, found --pati"):
        workdirs.start(tmp_path, {**CONFIG, "patience": 1}, SCHEMA, resume=True)
    for patience in (2, 5, 0):
        workdirs.start(tmp_path, {**CONFIG, "patience": patience}, SCHEMA, resume=True)
    with pytest.raises(InputError, match="trained with --patience=0, found --pati"):
        workdirs.start(tmp_path, {**CONFIG, "patience": 9}, SCHEMA, resume=True)


def test_a_run_does_not_go_on_with_other_data_of_the_same_name(started):
    other = Schema("toy", (Field("user", "categorical", 41, 0),))
    with pytest.raises(InputError, match="was trained on other data of this name"):
        workdirs.start(started, CONFIG, other, resume=True)
    workdirs.start(started, CONFIG, SCHEMA, resume=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_refused_command_changes_nothing(started):
    workdirs.finish(started, {"test": None})
    before = contents(started)

    def refused(workdir, config, **settings):
        with workdirs.held(workdir):
            workdirs.start(workdir, config, SCHEMA, **settings)
            assert contents(workdir) != before
            raise InputError("refused")

    with pytest.raises(InputError, match="refused"):
        refused(started, {**CONFIG, "epochs": 9}, resume=True)
    assert contents(started) == before
    fresh = started.parent / "new" / "run"
    with pytest.raises(InputError, match="refused"):
        refused(fresh, CONFIG, resume=False)
    assert not fresh.parent.exists()


def test_what_came_to_a_checkpoint_stays_described_as_it_was_trained(started):
    with contextlib.suppress(KeyboardInterrupt), workdirs.held(started):
        workdirs.start(started, {**CONFIG, "epochs": 9}, SCHEMA, resume=True)
        (Run(started).checkpoints / "7").mkdir(parents=True)
        raise KeyboardInterrupt
    assert read_config(Run(started))["epochs"] == 9


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    script = (
        "import pathlib, sys, time; from experiments import workdirs\n"
        "with workdirs.held(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        with (
            pytest.raises(InputError, match="is in use by another process"),
            workdirs.held(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with workdirs.held(tmp_path):
        pass


@pytest.mark.parametrize(("name", "value"), [("model", "lr"), ("set", []), ("l2", 1.0)])
def test_what_a_run_computes_may_not(started, name, value):
    with pytest.raises(InputError, match=rf"trained with --{name}=.*, found --{name}="):
        workdirs.start(started, {**CONFIG, name: value}, SCHEMA, resume=True)
    assert read_config(Run(started)) == CONFIG


FILES = ("config.json", "schema.json", "result.json", "metrics.jsonl")
FOLDERS = ("checkpoints", "events", "logits")


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", [*FILES, "logits/test.npy", *FOLDERS])
def test_what_stands_in_the_way_of_a_run_is_told_before_it(tmp_path, name, resume):
    path = tmp_path / name
    if name in FOLDERS:
        path.touch()
        kind = "folder"
    else:
        path.mkdir(parents=True)
        kind = "file"
    told = f"{name} is no {kind}, but one is to be written there; remove it, or name an"
    with pytest.raises(InputError, match=told):
        workdirs.start(tmp_path, CONFIG, SCHEMA, resume=resume)


def test_a_folder_that_may_not_be_written_to_is_told_before_the_run(
    tmp_path, monkeypatch
):
    (tmp_path / "logits").mkdir()
    monkeypatch.setattr(workdirs.os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="logits: Permission denied"):
        workdirs.start(tmp_path, CONFIG, SCHEMA, resume=False)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["schema.json", "result.json", "logits/test.npy"])
def test_a_file_of_something_else_is_not_written_over(tmp_path, name, resume):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with (
        pytest.raises(InputError, match=f"{name} is of no run"),
        workdirs.held(tmp_path),
    ):
        workdirs.start(tmp_path, CONFIG, SCHEMA, resume=resume)
    assert path.read_text() == "mine"


def test_a_folder_that_holds_a_run_or_cannot_be_is_refused(started):
    with pytest.raises(InputError, match="holds a run already; go on with it by"):
        workdirs.start(started, CONFIG, SCHEMA, resume=False)
    for workdir in (started / "config.json", started / "config.json" / "x"):
        with (
            pytest.raises(
                InputError, match=r"/config\.json is a file; expected a folder"
            ),
            workdirs.held(workdir),
        ):
            pass


def test_checkpoints_without_a_config_are_a_run_that_no_program_goes_on_with(
    started, capsys
):
    (started / "config.json").unlink()
    (Run(started).checkpoints / "7").mkdir(parents=True)
    workdir = f"--workdir={started}"
    before = contents(started)
    told = f"{started} holds checkpoints but no config.json"
    for module, flags in (
        (train, (workdir,)),
        (train, (workdir, "--resume")),
        (train, (f"--init_from={started}", f"--workdir={started}/other")),
        (evaluate, (workdir,)),
        (pairs, (workdir,)),
    ):
        assert program.run(module.main, module.FLAGS, ["program", *flags]) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(told)
    assert contents(started) == before
    for resume in (False, True):
        with pytest.raises(InputError, match="holds checkpoints but no config"):
            workdirs.start(started, CONFIG, SCHEMA, resume=resume)


def test_half_a_checkpoint_is_no_run(tmp_path):
    (Run(tmp_path).checkpoints / "7.orbax-checkpoint-tmp").mkdir(parents=True)
    workdirs.start(tmp_path, CONFIG, SCHEMA, resume=False)


DEEP = "[" * 100_000
"""JSON that a parser which calls itself for each bracket cannot read."""


@pytest.mark.parametrize("name", ["config.json", "schema.json"])
def test_json_that_is_nested_too_deeply_is_damaged(started, name):
    (started / name).write_text(DEEP)
    with pytest.raises(InputError, match=f"{started}/{name} is damaged"):
        workdirs.start(started, CONFIG, SCHEMA, resume=True)


def test_a_run_with_a_damaged_result_did_not_end(started):
    workdirs.finish(started, dict.fromkeys(workdirs._IN_RESULT))
    assert workdirs.finished(started, CONFIG, SCHEMA) is not None
    for damaged in ("", "[]", "{}", DEEP):
        (started / "result.json").write_text(damaged)
        assert workdirs.finished(started, CONFIG, SCHEMA) is None


@pytest.mark.parametrize("text", ["", '{"model": "fm"', "[]", '{"model": "fm"}', DEEP])
def test_a_damaged_config_is_told_by_every_program(started, text, capsys):
    (started / "config.json").write_text(text)
    workdir = f"--workdir={started}"
    with pytest.raises(InputError, match="expected a JSON object with model, set, "):
        read_config(Run(started))
    assert program.run(evaluate.main, evaluate.FLAGS, ["evaluate", workdir]) == 2
    assert f"{started}/config.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", None),
        ("model", ["fm"]),
        ("dataset", None),
        ("loss", 1),
        ("set", None),
        ("set", "embedding_dim=4"),
        ("set", [3]),
        ("data_dir", 5),
        ("monitor", "acu"),
        ("monitor", [1]),
        ("loss_set", "a=1"),
    ],
)
def test_a_config_with_a_value_of_another_kind_is_damaged(started, name, value):
    text = json.dumps({**CONFIG, name: value})
    (started / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"config.json is damaged: {name} cannot be"):
        read_config(Run(started))


def test_every_flag_that_a_config_must_hold_is_a_flag_of_training():
    assert set(NEEDED) < set(train.FLAGS)
    assert {"epochs", "patience", *workdirs._SURROUNDINGS} < set(train.FLAGS)


def test_a_run_is_not_held_in_a_folder_of_prepared_data(tmp_path):
    store = tmp_path / "prepared" / "csv" / "2.0.0"
    store.mkdir(parents=True)
    (store / "schema.json").touch()
    before = sorted(tmp_path.rglob("*"))
    for folder in tmp_path / "prepared", tmp_path / "prepared" / "csv":
        with (
            pytest.raises(InputError, match=r"which data\.prepare wrote; name another"),
            workdirs.held(folder),
        ):
            pass
    assert sorted(tmp_path.rglob("*")) == before
