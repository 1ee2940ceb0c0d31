"""What a run leaves behind, how it is told apart, and what another can take from it."""

import json
import re
import shutil

import numpy as np
import programs
import pytest

from afm_jax.data import synthetic
from afm_jax.data.store.reader import Store
from afm_jax.errors import InputError
from afm_jax.features import Field, Rows, Schema
from afm_jax.inference import restoring
from afm_jax.ops import metrics
from afm_jax.training.run.checkpoints import Checkpoints
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import evaluate, runs, train, workdirs
from experiments.cli import program

FM = ("--model=fm", "--set=embedding_dim=3", "--set=init_stddev=0.1")
SHORT = ("--batch_size=256", "--epochs=2", "--log_every=2")


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
    return restoring.restore(Run(workdir), store.schema)


def test_the_result_is_left_beside_the_logits_it_is_of(fm_run):
    workdir, result = fm_run
    assert json.loads((workdir / "result.json").read_text()) == result
    for split in ("validation", "test"):
        logits = np.load(Run(workdir).logits(split))
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
    config = {**read_config(Run(fm_run[0])), "monitor": monitor}
    workdirs.start(tmp_path, config, schema, resume=False)
    with Checkpoints(Run(tmp_path).checkpoints, schema) as checkpoints:
        for step, (auc, rmse) in enumerate([(0.9, 0.5), (0.8, 0.3), (0.7, 0.4)], 1):
            metrics = {"auc": auc, "rmse": rmse}
            checkpoints.save(step, {"params": variables["params"]}, {}, metrics)
    assert restore(tmp_path)[1] == best


def test_a_finished_run_is_told_from_one_that_would_go_on(fm_run):
    workdir, result = fm_run
    config = read_config(Run(workdir))
    schema = programs.small_store().schema
    assert workdirs.finished(workdir, config, schema) == result
    assert workdirs.finished(workdir, config | {"log_every": 7}, schema) == result
    assert workdirs.finished(workdir, config | {"epochs": 9}, schema) is None
    assert workdirs.finished(workdir / "no", config, schema) is None
    other = synthetic.make(rows={"train": 500}, min_count=3).schema
    with pytest.raises(InputError, match="other data"):
        workdirs.finished(workdir, config, other)


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
    paths = [workdir / name for name in ("config.json", "result.json")]
    before = [path.read_text() for path in paths]
    arguments = (*FM, *SHORT, f"--workdir={workdir}", "--resume")
    with pytest.raises(InputError, match="has trained 2 epochs, found epochs=1"):
        programs.run(train, *arguments, "--epochs=1")
    assert [path.read_text() for path in paths] == before


def store_of_users_and_tags():
    tags = Field("tags", "multi_valued", vocab_size=7, offset=0, slots=3)
    user = Field("user", "categorical", vocab_size=5, offset=7)
    ids = np.array([[2, 0, 0, 9], [2, 3, 0, 8], [2, 0, 0, 8], [2, 0, 0, 7]], np.int32)
    zeros = np.zeros(4, np.float32)
    rows = Rows(ids, (ids > 0).astype(np.float32), np.zeros((4, 0), np.float32), zeros)
    unseen = {"test": {1: np.array([[1, 5], [2, 6]])}}
    return Store(Schema("two", (tags, user)), {"test": rows}, {}, unseen)


def test_groups_are_the_raw_values_of_a_field_that_has_one_a_row():
    store = store_of_users_and_tags()
    assert runs.groups(store, ["test"], None) == {}
    groups = runs.groups(store, ["test"], "user")["test"]
    np.testing.assert_array_equal(groups, [2, 5, 6, -1])
    with pytest.raises(InputError, match=r"--group_field: .*'tags' can have several"):
        runs.groups(store, ["test"], "tags")
    with pytest.raises(InputError, match="--group_field: no field 'item'"):
        runs.groups(store, ["test"], "item")


@pytest.mark.parametrize("module", [train, evaluate])
def test_a_batch_size_above_the_rows_is_capped_with_a_line(
    fm_run, tmp_path, caplog, module
):
    workdir = fm_run[0] if module is evaluate else tmp_path / "run"
    more = FM if module is train else ()
    with caplog.at_level("INFO"):
        programs.run(module, *more, f"--workdir={workdir}", f"--batch_size={1 << 31}")
    rows = {train: ("train", 1_100), evaluate: ("test", 400)}[module]
    told = "The %s split has %d rows: --batch_size=2147483648 is capped at %d."
    assert told % (*rows, rows[1]) in caplog.text


@pytest.mark.parametrize("module", [train, evaluate])
def test_labels_of_another_kind_are_refused_before_anything_is_done(
    fm_run, tmp_path, module
):
    store = programs.small_store()
    splits = dict(store.splits)
    splits["test"] = splits["test"]._replace(labels=splits["test"].labels * 0.7)
    store = store._replace(splits=splits)
    workdir = fm_run[0] if module is evaluate else tmp_path / "run"
    more = FM if module is train else ()
    with pytest.raises(InputError, match=r"the test split has the label 0\.7"):
        programs.run(module, *more, f"--workdir={workdir}", store=store)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_base_logit_in_its_checkpoints_is_evaluated_as_ever(
    tmp_path,
):
    start = (*FM, *SHORT, "--base_logit=0", "--untrained_rows=keep")
    workdir = tmp_path / "run"
    result = programs.run(train, *start, f"--workdir={workdir}")
    schema = programs.small_store().schema
    with Checkpoints(Run(workdir).checkpoints, schema, read_only=True) as checkpoints:
        step = checkpoints.best_step()
    variables = restore(workdir)[2]
    assert float(variables.pop("base")["logit"]) == 0.0
    shutil.rmtree(Run(workdir).checkpoints)
    with Checkpoints(Run(workdir).checkpoints, schema) as checkpoints:
        checkpoints.save(step, variables, {}, result["validation"])
    config = json.loads((workdir / "config.json").read_text())
    older = {
        k: v for k, v in config.items() if k not in ("base_logit", "untrained_rows")
    }
    (workdir / "config.json").write_text(json.dumps(older))
    found = programs.run(evaluate, f"--workdir={workdir}")
    assert found["metrics"]["log_loss"] == pytest.approx(result["test"]["log_loss"])


def test_evaluate_adds_the_base_logit(fm_run):
    """Which is far from 0 here."""
    workdir, result = fm_run
    assert abs(float(restore(workdir)[2]["base"]["logit"])) > 0.5
    found = programs.run(evaluate, f"--workdir={workdir}")["metrics"]
    for name in ("log_loss", "calibration"):
        assert found[name] == pytest.approx(result["test"][name], rel=1e-5)


def test_hyperparameters_that_do_not_fit_leave_no_run(tmp_path, capsys):
    arguments = ("--model=finalmlp", "--set=num_heads=7", f"--workdir={tmp_path}/run")
    assert program.run(train.main, train.FLAGS, ["train", *arguments]) == 2
    assert "num_heads" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "setting", "told"),
    [
        ("fm", "embedding_dim=1000000000", "needs"),
        ("afm", "embedding_dim=2147483647", "needs"),
        ("dnn", "hidden_dims=(2000000000,)", "needs"),
        ("fm", "embedding_dim=10000000000", "at most 2,147,483,647"),
        ("fm", "init_stddev=" + "9" * 400, "expected a number above 0"),
        ("fm", "embedding_dim={[]: 1}", "expected a whole number"),
        ("fm", "embedding_dim=" + "(" * 500, "expected a whole number"),
        ("fm", "name=x", "fm has no hyperparameter 'name'"),
        ("fm", "=3", "expected --set=name=value"),
    ],
)
def test_a_model_that_cannot_be_is_refused_before_any_work(
    model, setting, told, tmp_path
):
    arguments = (f"--model={model}", f"--set={setting}", f"--workdir={tmp_path}/run")
    with pytest.raises(InputError, match=re.escape(told)):
        programs.run(train, *arguments)
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_without_the_run_that_its_tables_came_from(fm_run, tmp_path):
    theirs = shutil.copytree(fm_run[0], tmp_path / "theirs")
    arguments = (*FM, *SHORT, f"--init_from={theirs}", f"--workdir={tmp_path}/run")
    programs.run(train, *arguments)
    shutil.rmtree(theirs)
    programs.run(train, *arguments, "--epochs=3", "--resume")
    # With no more than half a checkpoint it has to start, and cannot.
    shutil.rmtree(Run(tmp_path / "run").checkpoints)
    (Run(tmp_path / "run").checkpoints / "3.orbax-checkpoint-tmp").mkdir(parents=True)
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
    assert read_config(Run(tmp_path / "from"))["init_from"] == str(workdir)


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


def test_a_run_with_numbers_of_loss_and_optimizer_is_evaluated_and_resumed(tmp_path):
    flags = (
        "--model=lr",
        *SHORT,
        "--loss=focal",
        "--loss_set=gamma=0.5",
        "--optimizer=rmsprop",
        "--optimizer_set=decay=0.5",
        "--learning_rate=0.01",
        "--monitor=recall_at_precision",
        f"--workdir={tmp_path}",
    )
    result = programs.run(train, *flags)
    found = programs.run(evaluate, f"--workdir={tmp_path}", "--batch_size=256")
    assert found["metrics"] == pytest.approx(result["test"], abs=1e-6)
    assert found["best_possible"] == result["best_possible"]["test"]
    with pytest.raises(InputError, match="was trained with --loss_set="):
        programs.run(train, *flags, "--resume", "--loss_set=gamma=2")
    longer = programs.run(train, *flags, "--resume", "--epochs=3")
    assert longer["epochs"] == 3
