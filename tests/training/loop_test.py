"""Runs: killed and resumed, stopped, diverged, ended early."""

import functools
import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from flax import linen as nn

from afm_jax import models
from afm_jax.data import synthetic
from afm_jax.data.loader import Loader
from afm_jax.errors import InputError
from afm_jax.ops import metrics
from afm_jax.training import (
    actions,
    evaluation,
    leaves,
    loop,
    optimizers,
    progress,
)
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.run import checked_items
from afm_jax.training.run.checkpoints import Checkpoints
from afm_jax.training.run.folder import Run
from afm_jax.training.task import Task

ROWS = {"train": 1_110, "validation": 300, "test": 300}
BATCH_SIZE = 256
STEPS = 5  # an epoch, the last one ragged


@functools.cache
def make_store():
    return synthetic.make(rows=ROWS, min_count=3)


def make_devices(count=1, **layout):
    vocab_size = make_store().schema.vocab_size
    return Devices(vocab_size, devices=jax.devices()[:count], **layout)


def make_model(normalization="batch"):
    return models.make(
        "nfm",
        vocab_size=make_store().schema.vocab_size,
        embedding_dim=4,
        hidden_dims=(8,),
        dropout_rate=0.2,
        normalization=normalization,
    )


# Batch statistics would follow the bias below them, which rounding errors alone drive.
PLAIN = make_model(normalization=None)
# For what a run does whatever its model is.
SMALL = models.make("lr", vocab_size=make_store().schema.vocab_size)


def make_schedule(learning_rate=0.01):
    return optimizers.make_schedule(
        "cosine", learning_rate, warmup_steps=2, total_steps=3 * STEPS
    )


def run(
    workdir,
    *,
    learning_rate=0.01,
    model=None,
    devices=None,
    batch_size=BATCH_SIZE,
    advance=lambda rows, note: None,
    fill_untrained=True,
    **settings,
):
    """Trains a small nfm, or `model`, on planted data; returns the result."""
    store, schedule = make_store(), make_schedule(learning_rate)
    stop = settings.pop("stop_requested", lambda: False)
    workdir.mkdir(exist_ok=True)
    task = Task(
        model or make_model(),
        optimizer=settings.pop("optimizer", optimizers.make("adam", schedule)),
        learning_rate=schedule,
        table_update=settings.pop("table_update", "rows"),
        compute_dtype=settings.pop("compute_dtype", "float32"),
    )
    return loop.train_and_evaluate(
        task,
        Dataset(
            store.schema,
            {
                name: Loader(rows, batch_size, seed=1, shuffle=name == "train")
                for name, rows in store.splits.items()
            },
            store.counts if fill_untrained else None,
            {"validation": store.groups("validation", store.schema.fields[0].name)},
        ),
        devices or make_devices(),
        Run(workdir),
        progress.Options(
            **{"epochs": 3, "log_every": 2, "checkpoint_every": 0} | settings
        ),
        stop_requested=stop,
        advance=advance,
    )


def rows_of(steps):
    """Rows that so many steps train on: the last batch of an epoch is filled up."""
    epochs, rest = divmod(steps, STEPS)
    return epochs * ROWS["train"] + rest * BATCH_SIZE


def lines(workdir):
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def numbers(workdir):
    """All numbers of all lines in their order."""
    return [
        number
        for line in lines(workdir)
        for value in line.values()
        for number in (value.values() if isinstance(value, dict) else [value])
    ]


def final_leaves(workdir):
    folder = Run(workdir).checkpoints
    about = checked_items.read_about(folder / str(max(checked_items.complete(folder))))
    return about["leaves"]  # with a crc32 of each


def final_state(workdir, model, devices):
    """The newest checkpoint, restored onto the devices and gathered from them."""
    features = Loader(make_store().splits["train"], 256).batch(0, 0).features
    tx = optimizers.make("adam", make_schedule())
    state = devices.create_state(
        model, tx, features, jax.random.key(0), catches_up=True
    )
    with Checkpoints(Run(workdir).checkpoints, None, read_only=True) as checkpoints:
        _, host, _ = checkpoints.restore(devices.gather_state(state))
    return devices.gather_state(devices.place_state(host))


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    """Folder and result of a run that nothing stops, by where the training rows are."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("host", "device")}
    return {
        name: (folder, run(folder, data_placement=name))
        for name, folder in folders.items()
    }


@pytest.fixture(scope="module")
def whole(wholes):
    return wholes["host"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("plain")
    run(workdir, model=PLAIN, data_placement="host")
    return workdir


def test_rows_on_the_device_train_the_same(plain, tmp_path):
    run(tmp_path, model=PLAIN, data_placement="device")
    assert numbers(tmp_path) == pytest.approx(numbers(plain), rel=1e-4)


def test_a_run_never_holds_its_state_a_second_time(tmp_path, monkeypatch):
    """But for the copy that a checkpoint is written from."""
    monkeypatch.setattr(Devices, "gather_state", lambda *_: pytest.fail("gathered"))
    placed = []
    place = Devices.place_leaf

    def note(self, path, leaf):
        placed.append(type(leaf))
        return place(self, path, leaf)

    run(tmp_path, model=SMALL, epochs=1)
    monkeypatch.setattr(Devices, "place_leaf", note)
    run(tmp_path, model=SMALL, epochs=2)
    assert placed[0] is np.ndarray


def test_a_killed_run_resumes_to_the_bit(whole, tmp_path):
    """SIGKILL in a process of its own, in the second epoch, past a checkpoint."""
    workdir, result = whole
    script = f"""
import os, pathlib, signal, sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import loop_test
done = []
def advance(rows, note):
    done.append(rows)
    if sum(done) == {rows_of(2 * STEPS - 1)}:
        os.kill(os.getpid(), signal.SIGKILL)
loop_test.run(pathlib.Path({str(tmp_path)!r}), advance=advance, checkpoint_every=3)
"""
    killed = subprocess.run(
        [sys.executable, "-c", script], env=os.environ, capture_output=True, text=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert len(lines(tmp_path)) < len(lines(workdir))
    resumed = run(tmp_path)
    assert final_leaves(tmp_path) == final_leaves(workdir)
    assert lines(tmp_path) == lines(workdir)
    assert resumed["test"] == result["test"]


@pytest.mark.parametrize(
    ("placement", "at"),
    [("host", 2), ("host", STEPS), ("host", STEPS + 3), ("device", STEPS + 3)],
)
def test_a_stopped_run_resumes_to_the_bit(wholes, tmp_path, placement, at):
    workdir, _ = wholes[placement]
    done = []
    with pytest.raises(actions.Interrupted):
        run(
            tmp_path,
            advance=lambda rows, note: done.append(rows),
            stop_requested=lambda: sum(done) >= rows_of(at),
            data_placement=placement,
        )
    assert sum(done) == rows_of(at)
    run(tmp_path, data_placement=placement)
    assert final_leaves(tmp_path) == final_leaves(workdir)
    assert lines(tmp_path) == lines(workdir)


def test_the_base_logit_is_the_log_odds_of_the_training_labels(whole):
    share = make_store().splits["train"].labels.mean()
    found = final_state(whole[0], make_model(), make_devices())
    assert found.base_logit == pytest.approx(np.log(share / (1 - share)), rel=1e-5)
    assert share < 0.4


def test_untrained_rows_of_every_checkpoint_of_an_epoch_are_the_mean(whole):
    schema, counts = make_store().schema, make_store().counts
    params = final_state(whole[0], make_model(), make_devices()).params
    filled = 0
    for field in schema.fields:
        part = slice(field.offset, field.offset + field.vocab_size)
        untrained = counts[part] == 0
        for module in ("embedding", "first_order"):
            table = params[module]["table"][part].astype(np.float64)
            mean = counts[part] @ table / counts[part].sum()
            expected = np.broadcast_to(mean, table[untrained].shape)
            np.testing.assert_allclose(table[untrained], expected, atol=1e-6)
        filled += untrained.sum()
    assert filled > 10


def test_groups_are_of_the_rows_in_their_order(whole):
    """A split without groups has no GAUC."""
    workdir, result = whole
    store = make_store()
    logits = np.load(workdir / "logits/validation.npy")
    groups = store.groups("validation", store.schema.fields[0].name)
    labels = store.splits["validation"].labels
    found = result["validation"]
    assert found["gauc"] == metrics.gauc(logits, labels, groups)
    coverage = found["gauc_groups"], found["gauc_rows"]
    assert coverage == metrics.gauc_coverage(labels, groups)
    assert min(coverage) > 1
    assert "gauc" not in result["test"]


def test_a_run_from_before_the_base_logit_goes_on_as_it_would_have(tmp_path):
    """Its checkpoints have no such leaf; what was 0 stays 0."""
    before = {"model": SMALL, "base_logit": "0", "fill_untrained": False}
    run(tmp_path / "whole", **before)
    run(tmp_path / "old", **before, epochs=2)
    state = final_state(tmp_path / "old", SMALL, make_devices())
    assert state.base_logit == 0
    checkpoints_of = functools.partial(Checkpoints, schema=make_store().schema)
    with checkpoints_of(Run(tmp_path / "old").checkpoints) as checkpoints:
        step, whole, progress = checkpoints.restore(state)
        best = {"auc": progress["best"]}
    shutil.rmtree(Run(tmp_path / "old").checkpoints)
    older = {k: v for k, v in whole._asdict().items() if k != "base_logit"}
    with checkpoints_of(Run(tmp_path / "old").checkpoints) as checkpoints:
        checkpoints.save(step, older, progress, best)
    assert "base_logit" not in final_leaves(tmp_path / "old")
    run(tmp_path / "old", model=SMALL, fill_untrained=False)
    found = final_leaves(tmp_path / "old")
    assert found == final_leaves(tmp_path / "whole")


def final_params(workdir):
    found = final_leaves(workdir).items()
    return {name: leaf for name, leaf in found if name.startswith("params/")}


def test_row_updates_with_adam_end_where_whole_tables_do(tmp_path):
    """Unlike lazy ones, though the rare values rest through most of an epoch."""
    logits = {}
    for update in ("dense", "rows", "lazy"):
        run(tmp_path / update, model=SMALL, epochs=2, table_update=update)
        logits[update] = np.load(tmp_path / update / "logits/validation.npy")
    spread = logits["dense"].std()
    assert np.abs(logits["rows"] - logits["dense"]).max() < 1e-3 * spread
    assert np.abs(logits["lazy"] - logits["dense"]).max() > 1e-2 * spread


def test_a_run_that_began_lazily_goes_on_lazily(tmp_path, caplog):
    run(tmp_path / "lazy", model=SMALL, epochs=2, table_update="lazy")
    run(tmp_path / "old", model=SMALL, epochs=1, table_update="lazy")
    with caplog.at_level(logging.INFO):
        run(tmp_path / "old", model=SMALL, epochs=2)
    assert "began with table_update=lazy" in caplog.text
    assert final_params(tmp_path / "old") == final_params(tmp_path / "lazy")


def test_an_optimizer_without_a_closed_form_trains_lazily_and_says_so(tmp_path, caplog):
    amsgrad = optax.amsgrad(0.01)
    with caplog.at_level(logging.INFO):
        for update in ("rows", "lazy"):
            run(
                tmp_path / update,
                model=SMALL,
                epochs=1,
                optimizer=amsgrad,
                table_update=update,
            )
    (line,) = [each.message for each in caplog.records if "closed form" in each.message]
    assert "rest" in line
    assert final_params(tmp_path / "rows") == final_params(tmp_path / "lazy")


def test_labels_that_are_not_0_and_1_are_refused_before_a_checkpoint(
    tmp_path, monkeypatch
):
    store = make_store()
    rows = store.splits["train"]._replace(labels=store.splits["train"].labels * 2)
    other = store._replace(splits={**store.splits, "train": rows})
    monkeypatch.setitem(globals(), "make_store", lambda: other)
    with pytest.raises(InputError, match="train split has the label 2;"):
        run(tmp_path)
    assert not list(tmp_path.iterdir())


class OwnTable(nn.Module):
    vocab_size: int
    slot_fields: tuple[int, ...] | None = None

    @nn.compact
    def __call__(self, features, *, train=False):
        return nn.Embed(self.vocab_size, 1, name="emb")(features.ids).sum(axis=(1, 2))


def test_a_table_that_row_updates_do_not_know_is_refused_before_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="OwnTable's params/emb/embedding is float32"):
        run(tmp_path, model=OwnTable(vocab_size=make_store().schema.vocab_size))
    assert not list(tmp_path.iterdir())


SPLIT = {"count": 4, "table_sharding": "rows"}

ON_ONE_DEVICE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import jax, loop_test
assert jax.device_count() == 1
workdir, epochs = pathlib.Path(sys.argv[2]), int(sys.argv[3])
loop_test.assert_arrives(workdir, loop_test.make_devices())
loop_test.run(workdir, model=loop_test.PLAIN, epochs=epochs)
"""


def on_one_device(workdir, *, epochs):
    """Goes on with a run in a process that has no other device."""
    here = str(pathlib.Path(__file__).parent)
    cache = str(jax.config.jax_compilation_cache_dir)
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_DEVICE, here, str(workdir), str(epochs)],
        env={**os.environ, "XLA_FLAGS": "", "JAX_COMPILATION_CACHE_DIR": cache},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def assert_arrives(workdir, devices):
    """What these devices hold of the newest checkpoint is, to the bit, what was saved."""
    found = leaves.by_name(final_state(workdir, PLAIN, devices))
    described = {name: leaves.describe(array) for name, array in found.items()}
    assert described == final_leaves(workdir)


def test_a_run_moves_between_one_device_and_tables_split_over_four(plain, tmp_path):
    """There and back."""
    workdir, devices = tmp_path / "run", make_devices(**SPLIT)
    assert devices.num_table_rows > make_store().schema.vocab_size  # some are padding
    run(workdir, model=PLAIN, devices=devices, epochs=1)
    on_one_device(workdir, epochs=2)
    assert_arrives(workdir, devices)
    run(workdir, model=PLAIN, devices=devices)
    assert numbers(workdir) == pytest.approx(numbers(plain), rel=1e-4)


def test_a_line_of_metrics_that_is_not_the_runs_own_stops_it(tmp_path):
    run(tmp_path, model=SMALL, epochs=1)
    path = tmp_path / "metrics.jsonl"
    _, *others = path.read_text().splitlines(keepends=True)
    path.write_text("".join(others))
    with pytest.raises(InputError, match=r"metrics\.jsonl line 1 is not what the run"):
        run(tmp_path, model=SMALL, epochs=2)
    path.unlink()
    for epochs in (2, 3):
        assert run(tmp_path, model=SMALL, epochs=epochs)["epochs"] == epochs


class Clock:
    """Stands still, but for what tests say takes time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data_placement": "device"},
        {"devices": make_devices(4, device_map="pmap")},
    ],
    ids=["host", "device", "pmap"],
)
def test_the_speed_of_a_run_does_not_depend_on_how_long_it_compiled(
    tmp_path, monkeypatch, settings
):
    """Here a second for each call, and an hour for each compilation."""
    clock, hour = Clock(), 3600.0
    compile = jax.stages.Lowered.compile

    def slow(self):
        clock.now += hour
        return compile(self)

    def advance(rows, note):
        clock.now += 1.0

    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(jax.stages.Lowered, "compile", slow)
    result = run(
        tmp_path, model=SMALL, **settings, advance=advance, log_every=1, epochs=2
    )
    rows = rows_of(2 * STEPS) - BATCH_SIZE
    assert result["examples_per_second"] == round(rows / (2 * STEPS))
    assert result["compilations"] >= 3  # state, step, prediction
    # The probe of the optimizer compiles, too, while a step is traced.
    assert result["compile_seconds"] >= hour * result["compilations"]


def test_a_finished_run_only_evaluates_again(whole):
    workdir, result = whole
    done = []
    again = run(workdir, advance=lambda rows, note: done.append(rows))
    assert not done
    assert again["test"] == result["test"]
    assert again["validation"] == result["validation"]


def test_the_best_checkpoint_is_the_one_evaluated(whole):
    workdir, result = whole
    aucs = [
        line["validation"]["auc"] for line in lines(workdir) if "validation" in line
    ]
    assert len(aucs) == 3
    assert result["validation"]["auc"] == max(aucs)


def test_the_monitored_metric_tells_the_best_checkpoint(tmp_path, monkeypatch):
    aucs = [0.7, 0.9, 0.8, 0.6, 0.5, *[0.5] * 3]
    found = iter(zip(aucs, [0.4, 0.5, 0.3, 0.6, 0.7, *[0.7] * 3], strict=True))
    monkeypatch.setattr(
        evaluation,
        "metrics_of",
        lambda *columns, loss: dict(zip(("auc", "rmse"), next(found), strict=True)),
    )
    result = run(tmp_path, model=SMALL, epochs=9, monitor="rmse", patience=2)
    assert result["epochs"] == 5
    with Checkpoints(
        Run(tmp_path).checkpoints, None, read_only=True, monitor="rmse"
    ) as checkpoints:
        assert checkpoints.best_step() == 3 * STEPS
        assert checkpoints.latest_step() == 5 * STEPS


def test_the_dtype_to_compute_in_reaches_training_and_evaluation(whole, tmp_path):
    workdir, result = whole
    rounded = run(tmp_path, compute_dtype="bfloat16")
    ours, theirs = (
        [line["loss"] for line in lines(folder) if "loss" in line]
        for folder in (tmp_path, workdir)
    )
    assert ours != theirs
    np.testing.assert_allclose(ours, theirs, rtol=0.05)
    assert rounded["test"]["auc"] == pytest.approx(result["test"]["auc"], abs=0.05)
    assert rounded["test"] != result["test"]


def test_a_damaged_best_checkpoint_does_not_lose_the_run(tmp_path, monkeypatch, caplog):
    aucs = iter([0.9, 0.8] + [0.7] * 9)
    monkeypatch.setattr(
        evaluation, "metrics_of", lambda *columns, loss: {"auc": next(aucs)}
    )
    run(tmp_path, model=SMALL, epochs=2)
    best = Run(tmp_path).checkpoints / str(STEPS)
    for path in (best / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    assert run(tmp_path, model=SMALL, epochs=2)["steps"] == 2 * STEPS
    assert f"the best checkpoint, {STEPS}, is damaged" in caplog.text


def test_a_loss_that_is_not_finite_stops_with_step_and_rate(tmp_path):
    with pytest.raises(
        InputError,
        match=r"loss is (nan|inf) at step \d+, learning rate .* checkpoint: there is ",
    ):
        run(tmp_path, learning_rate=1e30, log_every=1)
    for line in lines(tmp_path):
        assert np.isfinite(line["loss"])


def test_logits_that_are_not_finite_stop_with_split_and_step(tmp_path):
    # One step an epoch: no later loss shows what the second, with a rate above 0, did.
    with pytest.raises(
        InputError,
        match=r"validation split \d+ of \d+ logits are NaN .* at step 1, .* checkpoint: step 1",
    ):
        run(tmp_path, learning_rate=1e30, batch_size=4096)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_damaged_ids_are_not_told_as_divergence(tmp_path, monkeypatch, split):
    store = make_store()
    ids = store.splits[split].ids.copy()
    ids[7, 3] = 10**6
    rows = store.splits[split]._replace(ids=ids)
    damaged = store._replace(splits={**store.splits, split: rows})
    monkeypatch.setitem(globals(), "make_store", lambda: damaged)
    told = rf"The {split} split has a feature id 1000000, outside \[0, \d+\): the data"
    with pytest.raises(InputError, match=told):
        run(tmp_path)


def test_training_ends_when_validation_auc_stops_rising(tmp_path, monkeypatch):
    """A tie is not a new best."""
    aucs = [0.7, 0.6, 0.8, 0.8, 0.7, *[0.9] * 4]
    found = iter(aucs)
    monkeypatch.setattr(
        evaluation, "metrics_of", lambda *columns, loss: {"auc": next(found)}
    )
    settings = {"patience": 2, "plateau_factor": 0.1, "epochs": 9}
    assert run(tmp_path, model=SMALL, **settings)["epochs"] == 5
    assert [
        line["validation"]["auc"] for line in lines(tmp_path) if "validation" in line
    ] == aucs[:5]


def test_a_checkpoint_of_another_model_is_refused(whole, tmp_path):
    workdir, _ = whole
    store = make_store()
    model = models.make("fm", vocab_size=store.schema.vocab_size)
    schedule = optimizers.make_schedule("constant", 0.1, warmup_steps=0, total_steps=9)
    with pytest.raises(InputError, match="does not fit"):
        loop.train_and_evaluate(
            Task(model, optimizer="adam", learning_rate=schedule),
            Dataset(store.schema, {"train": Loader(store.splits["train"], 256)}, None),
            make_devices(),
            Run(workdir),
            progress.Options(epochs=1),
        )
