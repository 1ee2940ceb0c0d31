"""What a run leaves behind, how it is told apart, and what another can take from it."""

import contextlib
import json
import shutil
import subprocess
import sys

import numpy as np
import programs
import pytest

from afm_jax.errors import InputError
from afm_jax.features import Field, Schema
from afm_jax.ops import metrics
from afm_jax.training import evaluation, loop, records
from afm_jax.training.checkpoints import Checkpoints
from data import program, synthetic
from experiments import evaluate, runs, train

SCHEMA = Schema("toy", (Field("user", "categorical", 40, 0),))
CONFIG = {
    **{"model": "fm", "set": ["embedding_dim=4"], "dataset": "toy", "data_dir": "d"},
    **{"loss": "squared_error", "monitor": "rmse", "epochs": 3},
    **{"compute_dtype": "float32", "attention_l2": 0.0, "table_sharding": "replicated"},
    "schedule": "constant",
}
FM = ("--model=fm", "--set=embedding_dim=3", "--set=init_stddev=0.1")
SHORT = ("--batch_size=256", "--epochs=2", "--log_every=2")


@pytest.fixture
def started(tmp_path):
    workdir = tmp_path / "runs" / "one"
    workdir.mkdir(parents=True)
    runs.start(workdir, CONFIG, SCHEMA, resume=False)
    return workdir


def test_a_run_is_described_by_its_folder(started):
    assert runs.read_config(started) == CONFIG
    assert Schema.from_json((started / "schema.json").read_text()) == SCHEMA
    assert len(list(started.iterdir())) == 2


def test_an_older_run_had_what_there_was_no_flag_for(started):
    later = {"monitor": "auc", "compute_dtype": "float32", "attention_l2": 0.0}
    older = {k: v for k, v in CONFIG.items() if k not in later}
    (started / "config.json").write_text(json.dumps(older))
    expected = {**older, **later}
    assert runs.read_config(started) == expected


def test_how_long_and_where_a_run_trains_may_change_when_it_is_resumed(started):
    changed = {**CONFIG, "epochs": 9, "table_sharding": "rows"}
    runs.start(started, changed, SCHEMA, resume=True)
    assert runs.read_config(started) == changed


def test_the_length_of_a_run_may_not_where_its_schedule_depends_on_it(tmp_path):
    config = {**CONFIG, "epochs": 2, "patience": 1, "schedule": "cosine"}
    runs.start(tmp_path, config, SCHEMA, resume=False)
    with pytest.raises(InputError, match="trained with --epochs=2, found --epochs=9"):
        runs.start(tmp_path, {**config, "epochs": 9}, SCHEMA, resume=True)
    runs.start(tmp_path, {**config, "patience": 3}, SCHEMA, resume=True)


def test_patience_may_only_grow(tmp_path):
    runs.start(tmp_path, {**CONFIG, "patience": 2}, SCHEMA, resume=False)
    with pytest.raises(InputError, match="trained with --patience=2, found --pati"):
        runs.start(tmp_path, {**CONFIG, "patience": 1}, SCHEMA, resume=True)
    for patience in (2, 5, 0):
        runs.start(tmp_path, {**CONFIG, "patience": patience}, SCHEMA, resume=True)
    with pytest.raises(InputError, match="trained with --patience=0, found --pati"):
        runs.start(tmp_path, {**CONFIG, "patience": 9}, SCHEMA, resume=True)


def test_a_run_does_not_go_on_with_other_data_of_the_same_name(started):
    other = Schema("toy", (Field("user", "categorical", 41, 0),))
    with pytest.raises(InputError, match="was trained on other data of this name"):
        runs.start(started, CONFIG, other, resume=True)
    runs.start(started, CONFIG, SCHEMA, resume=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_refused_command_changes_nothing(started):
    runs.finish(started, {"test": None})
    before = contents(started)

    def refused(workdir, config, **settings):
        with runs.held(workdir):
            runs.start(workdir, config, SCHEMA, **settings)
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
    with contextlib.suppress(KeyboardInterrupt), runs.held(started):
        runs.start(started, {**CONFIG, "epochs": 9}, SCHEMA, resume=True)
        (started / loop.CHECKPOINTS / "7").mkdir(parents=True)
        raise KeyboardInterrupt
    assert runs.read_config(started)["epochs"] == 9


def test_a_folder_is_held_by_one_process_until_it_ends(tmp_path):
    script = (
        "import pathlib, sys, time; from experiments import runs\n"
        "with runs.held(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path], stdout=subprocess.PIPE
    )
    try:
        other.stdout.readline()
        with (
            pytest.raises(InputError, match="is in use by another process"),
            runs.held(tmp_path),
        ):
            pass
    finally:
        other.kill()
        other.communicate()
    with runs.held(tmp_path):
        pass


@pytest.mark.parametrize(("name", "value"), [("model", "lr"), ("set", []), ("l2", 1.0)])
def test_what_a_run_computes_may_not(started, name, value):
    with pytest.raises(InputError, match=rf"trained with --{name}=.*, found --{name}="):
        runs.start(started, {**CONFIG, name: value}, SCHEMA, resume=True)
    assert runs.read_config(started) == CONFIG


def test_a_folder_that_holds_a_run_or_cannot_be_is_refused(started):
    with pytest.raises(InputError, match="holds a run already; go on with it by"):
        runs.start(started, CONFIG, SCHEMA, resume=False)
    for workdir in (started / "config.json", started / "config.json" / "x"):
        with (
            pytest.raises(InputError, match=r"--workdir=.*: (File exists|Not a dir)"),
            runs.held(workdir),
        ):
            pass


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
    assert {"epochs", "patience", *runs._SURROUNDINGS} < set(train.FLAGS)


def test_programs_tell_what_is_missing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert program.run(evaluate.main, evaluate.FLAGS, ["evaluate"]) == 2
    told = "--workdir is required: Folder of the run.\n"
    assert capsys.readouterr().err == told
    assert program.run(train.main, train.FLAGS, ["train", "--resume"]) == 2
    told = "--resume needs --workdir, the folder of the run.\n"
    assert capsys.readouterr().err == told
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def fm_run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "fm"
    return workdir, programs.run(train, *FM, *SHORT, f"--workdir={workdir}")


def restore(workdir):
    store = programs.small_store()
    features = runs.loaders(store, 256, 0)["train"].batch(0, 0).features
    return runs.restore(workdir, store.schema, features)


def test_the_result_is_left_beside_the_logits_it_is_of(fm_run):
    workdir, result = fm_run
    assert json.loads((workdir / "result.json").read_text()) == result
    for split in ("validation", "test"):
        logits = np.load(records.logits_file(workdir, split))
        labels = programs.small_store().splits[split].labels
        assert metrics.auc(logits, labels) == result[split]["auc"]
    again = programs.run(evaluate, f"--workdir={workdir}", "--batch_size=256")
    assert again["metrics"]["auc"] == pytest.approx(result["test"]["auc"], abs=1e-6)


def test_where_there_is_no_test_split_validation_is_evaluated(fm_run):
    store = programs.small_store()
    splits = {name: store.splits[name] for name in ("train", "validation")}
    store = store._replace(splits=splits)
    found = programs.run(evaluate, f"--workdir={fm_run[0]}", store=store)
    assert found["split"] == "validation"
    assert found["metrics"]["rows"] == len(splits["validation"].labels)


@pytest.mark.parametrize(("monitor", "best"), [("auc", 1), ("rmse", 2)])
def test_the_best_checkpoint_is_that_of_the_runs_own_metric(
    fm_run, tmp_path, monitor, best
):
    _, _, variables = restore(fm_run[0])
    schema = programs.small_store().schema
    config = {**runs.read_config(fm_run[0]), "monitor": monitor}
    runs.start(tmp_path, config, schema, resume=False)
    with Checkpoints(tmp_path / loop.CHECKPOINTS, schema) as checkpoints:
        for step, (auc, rmse) in enumerate([(0.9, 0.5), (0.8, 0.3), (0.7, 0.4)], 1):
            metrics = {"auc": auc, "rmse": rmse}
            checkpoints.save(step, {"params": variables["params"]}, {}, metrics)
    assert restore(tmp_path)[1] == best


def test_a_finished_run_is_told_from_one_that_would_go_on(fm_run):
    workdir, result = fm_run
    config = runs.read_config(workdir)
    schema = programs.small_store().schema
    assert runs.finished(workdir, config, schema) == result
    assert runs.finished(workdir, config | {"log_every": 7}, schema) == result
    assert runs.finished(workdir, config | {"epochs": 9}, schema) is None
    assert runs.finished(workdir / "no", config, schema) is None
    other = synthetic.make(rows={"train": 500}, min_count=3).schema
    with pytest.raises(InputError, match="other data"):
        runs.finished(workdir, config, other)


def test_a_run_has_no_result_while_it_goes_on(tmp_path, monkeypatch):
    arguments = (*FM, *SHORT, f"--workdir={tmp_path}/run")
    result = tmp_path / "run/result.json"
    programs.run(train, *arguments)
    before = result.read_text()

    def killed(*arguments, **settings):
        assert not result.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(train.loop, "train_and_evaluate", killed)
    with pytest.raises(KeyboardInterrupt):
        programs.run(train, *arguments, "--epochs=3", "--resume")
    assert result.read_text() == before


def test_fewer_epochs_than_a_run_has_trained_are_refused(fm_run, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(fm_run[0], workdir)
    before = contents(workdir)
    arguments = (*FM, *SHORT, f"--workdir={workdir}", "--resume")
    with pytest.raises(InputError, match="has trained 2 epochs, found epochs=1"):
        programs.run(train, *arguments, "--epochs=1")
    assert contents(workdir)["result.json"] == before["result.json"]
    assert contents(workdir)["config.json"] == before["config.json"]


def test_groups_are_the_values_of_a_field_that_has_one_a_row():
    tags = Field("tags", "multi_valued", vocab_size=7, offset=0, slots=3)
    user = Field("user", "categorical", vocab_size=5, offset=7)
    schema = Schema("two", (tags, user))
    assert runs.group(schema, None) is None
    assert runs.group(schema, "user") == evaluation.Group(slot=3, first=9)
    with pytest.raises(InputError, match="a row can have several values of it"):
        runs.group(schema, "tags")
    with pytest.raises(InputError, match="no field 'item'"):
        runs.group(schema, "item")


def test_hyperparameters_that_do_not_fit_leave_no_run(tmp_path, capsys):
    arguments = ("--model=finalmlp", "--set=num_heads=7", f"--workdir={tmp_path}/run")
    assert program.run(train.main, train.FLAGS, ["train", *arguments]) == 2
    assert "num_heads" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_the_run_that_its_tables_came_from(fm_run, tmp_path):
    theirs = shutil.copytree(fm_run[0], tmp_path / "theirs")
    arguments = (*FM, *SHORT, f"--init_from={theirs}", f"--workdir={tmp_path}/run")
    programs.run(train, *arguments)
    shutil.rmtree(theirs)
    programs.run(train, *arguments, "--epochs=3", "--resume")
    # With no more than half a checkpoint it has to start, and cannot.
    shutil.rmtree(tmp_path / "run" / loop.CHECKPOINTS)
    (tmp_path / "run" / loop.CHECKPOINTS / "3.orbax-checkpoint-tmp").mkdir(parents=True)
    assert program.run(train.main, train.FLAGS, ["train", *arguments, "--resume"]) == 2


def test_init_from_starts_from_the_tables_of_the_best_checkpoint(fm_run, tmp_path):
    workdir, _ = fm_run
    # At learning rate 0 what was copied is still there at the end.
    still = ("--learning_rate=0", *SHORT, "--seed=3")
    afm = ("--model=afm", "--set=embedding_dim=3", "--set=attention_dim=2")
    for name, start in (("from", (f"--init_from={workdir}",)), ("without", ())):
        programs.run(train, *afm, *still, *start, f"--workdir={tmp_path}/{name}")
    theirs = restore(workdir)[2]["params"]
    ours, without = (
        restore(tmp_path / name)[2]["params"] for name in ("from", "without")
    )
    for module in ("embedding", "first_order"):
        np.testing.assert_array_equal(ours[module]["table"], theirs[module]["table"])
        assert (without[module]["table"] != theirs[module]["table"]).any()
    for module in ("attention", "output"):
        for name, array in without[module].items():
            np.testing.assert_array_equal(ours[module][name], array)
    assert runs.read_config(tmp_path / "from")["init_from"] == str(workdir)


def test_init_from_takes_only_tables_of_the_same_shape(fm_run, tmp_path):
    start = f"--init_from={str(fm_run[0])[:-2]}{{seed}}"
    fm_run[0].with_name("0").symlink_to(fm_run[0])
    wide = ("--model=fm", "--set=embedding_dim=4", "--learning_rate=0")
    programs.run(train, *wide, *SHORT, start, f"--workdir={tmp_path}/wide")
    ours, theirs = restore(tmp_path / "wide")[2], restore(fm_run[0])[2]
    ours, theirs = ours["params"], theirs["params"]
    assert ours["embedding"]["table"].shape[1] == 4
    np.testing.assert_array_equal(
        ours["first_order"]["table"], theirs["first_order"]["table"]
    )


def test_init_from_a_run_that_does_not_serve_is_refused(fm_run, tmp_path):
    start = f"--init_from={fm_run[0]}"
    workdir = f"--workdir={tmp_path}/run"
    with pytest.raises(InputError, match="has no table for this model"):
        programs.run(
            train, "--model=lr", "--set=first_order_inputs=dense", start, workdir
        )
    other = synthetic.make(rows={"train": 900}, min_count=3)
    with pytest.raises(InputError, match="another schema"):
        programs.run(train, *FM, start, workdir, store=other)
    with pytest.raises(InputError, match="No run in /nowhere"):
        programs.run(train, *FM, "--init_from=/nowhere", workdir)
    assert not (tmp_path / "run").exists()
