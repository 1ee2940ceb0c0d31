import pytest

from afm_jax.errors import InputError
from afm_jax.features import Field, Schema
from data import program
from experiments import evaluate, runs, train

SCHEMA = Schema("toy", (Field("user", "categorical", 40, 0),))
CONFIG = {
    **{"model": "fm", "set": ["embedding_dim=4"], "dataset": "toy", "data_dir": "d"},
    **{"loss": "squared_error", "epochs": 3, "table_sharding": "replicated"},
}


@pytest.fixture
def started(tmp_path):
    workdir = tmp_path / "runs" / "one"
    runs.start(workdir, CONFIG, SCHEMA, resume=False)
    return workdir


def test_a_run_is_described_by_its_folder(started):
    assert runs.read_config(started) == CONFIG
    assert Schema.from_json((started / "schema.json").read_text()) == SCHEMA
    assert len(list(started.iterdir())) == 2


def test_how_long_and_where_a_run_trains_may_change_when_it_is_resumed(started):
    changed = {**CONFIG, "epochs": 9, "table_sharding": "rows"}
    runs.start(started, changed, SCHEMA, resume=True)
    assert runs.read_config(started) == changed


@pytest.mark.parametrize(("name", "value"), [("model", "lr"), ("set", []), ("l2", 1.0)])
def test_what_a_run_computes_may_not(started, name, value):
    with pytest.raises(InputError, match=rf"trained with --{name}=.*, found --{name}="):
        runs.start(started, {**CONFIG, name: value}, SCHEMA, resume=True)
    assert runs.read_config(started) == CONFIG


def test_a_folder_that_holds_a_run_or_cannot_be_is_refused(started):
    with pytest.raises(InputError, match="holds a run already; go on with it by"):
        runs.start(started, CONFIG, SCHEMA, resume=False)
    for workdir in (started / "config.json", started / "config.json" / "x"):
        with pytest.raises(InputError, match=r"--workdir=.*: (File exists|Not a dir)"):
            runs.start(workdir, CONFIG, SCHEMA, resume=False)


@pytest.mark.parametrize("text", ["", '{"model": "fm"', "[]", '{"model": "fm"}'])
def test_a_damaged_config_is_told_by_every_program(started, text, capsys):
    (started / "config.json").write_text(text)
    workdir = f"--workdir={started}"
    with pytest.raises(InputError, match="expected a JSON object with model, set, "):
        runs.read_config(started)
    assert program.run(evaluate.main, evaluate.FLAGS, ["evaluate", workdir]) == 2
    assert f"{started}/config.json is damaged" in capsys.readouterr().err


def test_every_flag_that_a_config_must_hold_is_a_flag_of_training():
    assert set(runs._NEEDED) < set(train.FLAGS)
    assert set(runs._MAY_CHANGE) < set(train.FLAGS)


def test_programs_tell_what_is_missing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program.run(evaluate.main, evaluate.FLAGS, ["evaluate"]) == 2
    told = "--workdir is required: Folder of the run.\n"
    assert capsys.readouterr().err == told
    assert program.run(train.main, train.FLAGS, ["train", "--resume"]) == 2
    told = "--resume needs --workdir, the folder of the run.\n"
    assert capsys.readouterr().err == told
    assert not list(tmp_path.iterdir())
