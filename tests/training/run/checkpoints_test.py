"""What is restored is what was saved, or an error says why not."""

import collections
import contextlib
import dataclasses
import errno
import gc
import logging
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import tracemalloc  # noqa: F401  # pytest wants it when no file can be opened.
from unittest import mock

import jax
import ml_dtypes
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from afm_jax.errors import InputError
from afm_jax.features import Field, Schema
from afm_jax.training.run.checkpoints import Checkpoints
from afm_jax.training.state import TrainState

SCHEMA = Schema(
    "toy", (Field("user", "categorical", 40, 0), Field("item", "categorical", 60, 40))
)
TX = optax.chain(optax.clip(1.0), optax.adam(1e-3))


def make_state(seed=0, vocab_size=100):
    """A state with no two numbers alike, and leaves of every odd kind."""
    rng = np.random.default_rng(seed)

    def draw(shape, dtype=np.float32):
        return rng.normal(size=shape).astype(dtype)

    params = {
        "embedding": {"table": draw((vocab_size, 8))},
        "linear": {"kernel": draw((0, 1)), "bias": draw(())},
        "half": draw((3, 2), ml_dtypes.bfloat16),
    }
    opt_state = jax.tree.map(lambda leaf: draw(leaf.shape), TX.init(params))
    return TrainState(
        step=np.asarray(seed, np.int32),
        params=params,
        model_state={},
        opt_state=opt_state,
        learning_rate_scale=draw(()),
        loss_sum=draw(()),
        weight_sum=draw(()),
        key=rng.integers(0, 2**32, 2, dtype=np.uint32),
        base_logit=draw(()),
    )


EXAMPLE = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), make_state())


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert type(one) is np.ndarray
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def save_steps(folder, aucs):
    """Saves state i at step i with this AUC, None for no metrics at all."""
    with Checkpoints(folder, SCHEMA) as checkpoints:
        for step, auc in aucs.items():
            metrics = None if auc is None else {"auc": auc, "rmse": 1 - auc}
            checkpoints.save(step, make_state(step), {"epoch": step}, metrics)


def steps_in(folder):
    return sorted(int(path.name) for path in folder.iterdir())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with checkpoints 1, the best, 2 and 3."""
    folder = tmp_path_factory.mktemp("saved")
    save_steps(folder, {1: 0.9, 2: 0.8, 3: None})
    return folder


@pytest.fixture
def copied(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copied")


def test_restored_is_saved_to_the_bit_and_of_the_same_types(saved):
    with Checkpoints(saved, SCHEMA) as checkpoints:
        for step in (1, 2, 3):
            assert checkpoints.restore(EXAMPLE, step)[0] == step
            _, state, progress = checkpoints.restore(make_state(9), step)
            assert_same(state, make_state(step))
            assert type(state.opt_state[1][0]) is optax.ScaleByAdamState
            assert progress == {"epoch": step}
        assert checkpoints.restore(EXAMPLE)[0] == 3


def test_restore_waits_for_the_save_under_way(tmp_path):
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        checkpoints.save(5, make_state(5), {})
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(5))


def test_a_state_may_change_once_save_returns(tmp_path):
    state, progress = make_state(1, vocab_size=100_000), {"lines": [1]}
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        checkpoints.save(1, state, progress)
        progress["lines"].append(2)
        for leaf in jax.tree.leaves(state):
            leaf[...] = 0
        _, restored, saved = checkpoints.restore(state)
    assert saved == {"lines": [1]}
    assert_same(restored, make_state(1, vocab_size=100_000))


def test_progress_comes_back_as_it_was(tmp_path):
    progress = {"auc": 0.1 + 0.2, "none": None, "list": [1, "ä"], "nested": {"x": -0.0}}
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        checkpoints.save(1, make_state(1), progress)
        assert checkpoints.restore(EXAMPLE)[2] == progress


def test_fields_are_restored_without_the_rest(saved):
    example = {"params": EXAMPLE.params, "model_state": {}}
    with Checkpoints(saved, None, read_only=True) as checkpoints:
        step, fields = checkpoints.restore_fields(example, 2)
        assert step == 2
        assert_same(fields, {"params": make_state(2).params, "model_state": {}})
        table = EXAMPLE.params["embedding"]["table"]
        with pytest.raises(
            InputError, match=r"params/half is bfloat16 \(3, 2\), expec"
        ):
            checkpoints.restore_fields({"params": {**EXAMPLE.params, "half": table}})


def test_checkpoints_from_before_the_base_logit_have_none(tmp_path):
    state = make_state(1)
    before = {k: v for k, v in state._asdict().items() if k != "base_logit"}
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        checkpoints.save(1, before, {})
        _, found, _ = checkpoints.restore(EXAMPLE)
        assert_same(found, state._replace(base_logit=np.zeros((), np.float32)))
        example = {"params": EXAMPLE.params, "base_logit": EXAMPLE.base_logit}
        _, fields = checkpoints.restore_fields(example)
        assert_same(fields, {"params": state.params, "base_logit": found.base_logit})
        _, fields = checkpoints.restore_fields({"params": EXAMPLE.params})
        assert_same(fields, {"params": state.params})


def test_the_newest_two_and_the_best_are_kept(tmp_path):
    aucs = {1: 0.5, 2: 0.9, 3: 0.7, 4: None, 5: 0.6, 6: None, 7: 0.8}
    kept = {2: [1, 2], 3: [2, 3], 4: [2, 3, 4], 5: [2, 4, 5], 7: [2, 6, 7]}
    for last, steps in kept.items():
        folder = tmp_path / str(last)
        save_steps(folder, {step: aucs[step] for step in range(1, last + 1)})
        assert steps_in(folder) == steps


def test_checkpoints_without_metrics_are_not_kept_for_ever(tmp_path):
    save_steps(tmp_path, dict.fromkeys(range(1, 6)))
    assert steps_in(tmp_path) == [4, 5]
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        assert checkpoints.best_step() is None


def test_the_best_is_known_and_kept_in_the_next_process(tmp_path):
    save_steps(tmp_path, {1: 0.9, 2: 0.7})
    save_steps(tmp_path, {3: 0.8, 4: None})
    save_steps(tmp_path, {5: 0.6, 6: None})
    assert steps_in(tmp_path) == [1, 5, 6]
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        assert checkpoints.best_step() == 1
        assert checkpoints.latest_step() == 6
        checkpoints.save(7, make_state(7), {}, {"auc": 0.9})  # An equal, but newer.
        assert checkpoints.best_step() == 1
    assert steps_in(tmp_path) == [1, 6, 7]


def test_metrics_that_are_null_or_nan_do_not_count(tmp_path):
    aucs = [float("nan"), None, 0.6, 0.5, float("nan"), None]
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        for step, auc in enumerate(aucs, 1):
            checkpoints.save(step, make_state(step), {}, {"auc": auc})
            assert checkpoints.best_step() == (3 if step >= 3 else None)


def test_low_can_be_good(tmp_path):
    options = {"monitor": "rmse"}
    with Checkpoints(tmp_path, SCHEMA, **options) as checkpoints:
        for step, rmse in enumerate([0.5, 0.3, 0.4, 0.6], 1):
            checkpoints.save(step, make_state(step), {}, {"rmse": rmse, "auc": 0.5})
        assert checkpoints.best_step() == 2
    assert steps_in(tmp_path) == [2, 3, 4]


def test_a_step_that_is_not_new_is_refused(copied):
    with Checkpoints(copied, SCHEMA) as checkpoints:
        for step in (2, 3):
            with pytest.raises(RuntimeError, match=f"step {step} was not .* step 3"):
                checkpoints.save(step, make_state(step), {})


def files_of(folder):
    """Files that a restore reads, by a name without the random part."""
    return {
        "description": folder / "about" / "metadata",
        "manifest": folder / "state" / "manifest.ocdbt",
        "index": next((folder / "state" / "d").iterdir()),
        "data": max(
            (folder / "state" / "ocdbt.process_0" / "d").iterdir(),
            key=lambda path: path.stat().st_size,
        ),
    }


def damage(path, how):
    raw = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
        return
    if how == "flipped":
        raw[len(raw) // 2] ^= 0x10
    elif how == "cut":
        del raw[len(raw) // 2 :]
    else:
        raw.clear()
    path.write_bytes(raw)


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "deleted"])
@pytest.mark.parametrize("file", ["description", "manifest", "index", "data"])
def test_damage_is_seen_and_passed_over(copied, caplog, capfd, file, how):
    damage(files_of(copied / "3")[file], how)
    with Checkpoints(copied, SCHEMA) as checkpoints:
        with pytest.raises(InputError, match=r"step 3 in .*copied .* is damaged: .*\w"):
            checkpoints.restore(EXAMPLE, 3)
        with caplog.at_level(logging.WARNING, logger="absl"):
            step, state, _ = checkpoints.restore(EXAMPLE)
        assert step == 2
        assert_same(state, make_state(2))
        assert "checkpoint 3 is damaged" in caplog.text
        assert "Traceback" not in capfd.readouterr().err
        assert checkpoints.best_step() == 1


def test_training_goes_on_from_below_a_damaged_checkpoint(copied):
    damage(files_of(copied / "3")["data"], "flipped")
    with Checkpoints(copied, SCHEMA) as checkpoints:
        assert checkpoints.restore(EXAMPLE)[0] == 2
        assert steps_in(copied) == [1, 2, 3]
        checkpoints.save(3, make_state(33), {})
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(33))
    assert steps_in(copied) == [1, 2, 3]


def test_a_checkpoint_that_cannot_be_read_now_is_not_taken_for_damaged(
    copied, monkeypatch
):
    failing = mock.Mock(side_effect=OSError(errno.EMFILE, "Too many open files"))
    with Checkpoints(copied, SCHEMA) as checkpoints:
        with monkeypatch.context() as patched:
            patched.setattr(ocp.Checkpointer, "restore", failing)
            with pytest.raises(OSError, match="Too many"):
                checkpoints.restore(EXAMPLE)
        checkpoints.save(4, make_state(4), {})
        assert_same(checkpoints.restore(EXAMPLE, 3)[1], make_state(3))


def test_a_damaged_best_is_named_when_it_is_asked_for(copied):
    damage(files_of(copied / "1")["data"], "flipped")
    with Checkpoints(copied, SCHEMA) as checkpoints:
        assert checkpoints.restore(EXAMPLE)[0] == 3
        with pytest.raises(InputError, match=r"1 is damaged: .*table is not what was"):
            checkpoints.restore(EXAMPLE, checkpoints.best_step())


def test_the_newest_good_one_stands_in_for_a_damaged_best(copied, caplog):
    with Checkpoints(copied, SCHEMA) as checkpoints:
        step, state, progress = checkpoints.restore_best(EXAMPLE)
        assert (step, progress) == (1, {"epoch": 1})
        assert_same(state, make_state(1))
        assert not caplog.records
        damage(files_of(copied / "1")["data"], "flipped")
        damage(files_of(copied / "3")["data"], "flipped")
        with caplog.at_level(logging.WARNING, logger="absl"):
            step, state, _ = checkpoints.restore_best(EXAMPLE)
        assert step == 2
        assert_same(state, make_state(2))
        assert "the best checkpoint, 1, is damaged: " in caplog.text
        larger = make_state(vocab_size=101)
        with pytest.raises(InputError, match="does not fit"):
            checkpoints.restore_best(larger)


def test_nothing_is_restored_where_all_is_damaged(copied):
    for step in (1, 2, 3):
        damage(files_of(copied / str(step))["description"], "cut")
    with Checkpoints(copied, SCHEMA) as checkpoints:
        with pytest.raises(InputError, match=r"No checkpoint in .* restored: .*3"):
            checkpoints.restore(EXAMPLE)
        assert checkpoints.best_step() is None


def test_a_killed_save_leaves_the_checkpoint_before_it(tmp_path):
    program = """
        import os, signal, sys
        import checkpoints_test as test
        with test.Checkpoints(sys.argv[1], test.SCHEMA) as checkpoints:
            checkpoints.save(1, test.make_state(1), {})
            checkpoints.wait()
            # The last that a save does is to give its folders their names.
            os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            checkpoints.save(2, test.make_state(2), {})
    """
    here = pathlib.Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parents[2]}"},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    left = {path.name for path in tmp_path.iterdir()}
    assert len(left) == 2
    assert "2" not in left
    with Checkpoints(tmp_path, SCHEMA, read_only=True) as checkpoints:
        assert checkpoints.latest_step() == 1
    assert {path.name for path in tmp_path.iterdir()} == left
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(1))
        checkpoints.save(2, make_state(2), {})
    assert steps_in(tmp_path) == [1, 2]


def test_a_save_that_fails_is_heard_of_once(copied, monkeypatch, caplog):
    def fail(*_):
        raise OSError("the disk is full")

    with Checkpoints(copied, SCHEMA) as checkpoints:
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", fail)
            checkpoints.save(4, make_state(4), {}, {"auc": 0.95})
            with pytest.raises(OSError, match="the disk is full"):
                checkpoints.wait()
        assert not [record for record in caplog.records if record.exc_info]
        assert checkpoints.latest_step() == 3
        assert checkpoints.best_step() == 1
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(3))
    save_steps(copied, {5: 0.5})
    assert steps_in(copied) == [1, 3, 5]


@contextlib.contextmanager
def limited(kind, soft):
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def largest_file(folder):
    return limited(resource.RLIMIT_FSIZE, 2_000)


def no_more_files(folder):
    """Not one more, or only some: Orbax and TensorStore open several."""
    lowest = os.open(os.devnull, os.O_RDONLY)  # the first that is free
    os.close(lowest)
    return limited(resource.RLIMIT_NOFILE, lowest)


@contextlib.contextmanager
def read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


@contextlib.contextmanager
def no_more_inodes(folder):
    fillers = []
    with contextlib.suppress(OSError):
        for number in range(1_000):
            (folder / f"filler{number}").touch()
            fillers.append(folder / f"filler{number}")
    for filler in fillers[-6:]:  # Room for a folder or two of a checkpoint.
        filler.unlink()
    yield
    for filler in fillers[:-6]:
        filler.unlink()


def failure_of(function):
    """What an OSError says, without what it keeps alive."""
    try:
        function()
    except OSError as error:
        return str(error)
    finally:
        gc.collect()


# What Orbax leaves unfinished where no event loop can be made; programs do not tell it.
UNFINISHED = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)


@UNFINISHED
@pytest.mark.parametrize(
    ("spoiled", "number"),
    [
        (read_only, errno.EROFS),
        (no_more_inodes, errno.ENOSPC),
        (largest_file, errno.EFBIG),
        (no_more_files, errno.EMFILE),
    ],
)
def test_a_disk_that_takes_no_checkpoint_is_told_once_and_leaves_no_thread(
    make_disk, spoiled, number, capfd
):
    disk = make_disk("size=10m,nr_inodes=200")
    threads = threading.active_count()
    with Checkpoints(disk / "checkpoints", SCHEMA) as checkpoints:
        checkpoints.save(1, make_state(1), {})
        checkpoints.wait()

        def save():
            checkpoints.save(2, make_state(2), {})
            checkpoints.wait()

        with spoiled(disk):
            told = failure_of(save)
        assert told.startswith(f"[Errno {number}] {os.strerror(number)}: '{disk}/")
        assert steps_in(disk / "checkpoints") == [1]
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(1))
        checkpoints.save(3, make_state(3), {})
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(3))
    assert threading.active_count() <= threads
    assert "Traceback" not in capfd.readouterr().err


@UNFINISHED
def test_a_machine_that_has_no_file_handle_left_is_not_taken_for_damage(copied):
    with Checkpoints(copied, SCHEMA) as checkpoints:
        with no_more_files(copied):
            told = failure_of(lambda: checkpoints.restore(EXAMPLE))
        assert "Too many open files" in told
        assert checkpoints.restore(EXAMPLE)[0] == 3


def test_a_leaf_that_does_not_fit_is_named(saved):
    with Checkpoints(saved, SCHEMA) as checkpoints:
        for example, message in (
            (
                make_state(vocab_size=101),
                r"3 .* params/embedding/table is float32 \(100, 8\), expected float32 \(101, 8\)",
            ),
            (
                make_state()._replace(key=np.zeros(2, np.int32)),
                r"key is uint32 \(2,\), expected int32 \(2,\)",
            ),
            (
                make_state()._replace(model_state={"batch_stats": np.zeros(3)}),
                r"batch_stats is missing, expected float64 \(3,\)",
            ),
            (
                make_state()._replace(opt_state=()),
                r"count is float32 \(\), expected no such leaf",
            ),
        ):
            with pytest.raises(InputError, match=message):
                checkpoints.restore(example)


def test_another_schema_is_refused_by_the_field_that_differs(saved):
    fields = (SCHEMA.fields[0], dataclasses.replace(SCHEMA.fields[1], vocab_size=61))
    other = dataclasses.replace(SCHEMA, fields=fields)
    with Checkpoints(saved, other, read_only=True) as checkpoints:
        with pytest.raises(InputError, match="'item': vocab_size is 60 against 61"):
            checkpoints.restore(EXAMPLE)
        with pytest.raises(InputError, match="'item': vocab_size is 60 against 61"):
            checkpoints.restore_fields({"params": EXAMPLE.params})


def test_a_state_that_the_disk_has_no_space_for_is_not_begun(tmp_path, monkeypatch):
    needed = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(make_state(1)))
    usage = collections.namedtuple("usage", "free")
    with Checkpoints(tmp_path, SCHEMA) as checkpoints:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed - 1))
        with pytest.raises(OSError, match="No space left on device"):
            checkpoints.save(1, make_state(1), None)
        assert not list(tmp_path.iterdir())
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(needed))
        checkpoints.save(1, make_state(1), None)
        assert_same(checkpoints.restore(EXAMPLE)[1], make_state(1))


def test_a_file_is_no_folder_of_checkpoints(tmp_path):
    (tmp_path / "file").write_text("x")
    for read_only in (True, False):
        with pytest.raises(InputError, match="file is a file, expected a folder"):
            Checkpoints(tmp_path / "file", SCHEMA, read_only=read_only)


def test_what_is_not_there_is_named(saved, tmp_path):
    missing = tmp_path / "missing"
    for folder in (tmp_path, missing):
        with pytest.raises(InputError, match=f"No checkpoint in {folder} to restore"):
            Checkpoints(folder, SCHEMA, read_only=True)
    assert not missing.exists()
    with Checkpoints(missing, SCHEMA) as checkpoints:
        assert checkpoints.latest_step() is None
        assert checkpoints.best_step() is None
        with pytest.raises(InputError, match=r"No checkpoint in .* its steps are none"):
            checkpoints.restore(EXAMPLE)
    with (
        Checkpoints(saved, SCHEMA) as checkpoints,
        pytest.raises(InputError, match=r"step 7 .* its steps are \(1, 2, 3\)"),
    ):
        checkpoints.restore(EXAMPLE, 7)


def test_orbax_logs_nothing_below_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG, logger="absl"):
        save_steps(tmp_path, {1: 0.5, 2: None, 3: 0.6})
        with Checkpoints(tmp_path, SCHEMA) as checkpoints:
            checkpoints.restore(EXAMPLE)
    assert [r.getMessage() for r in caplog.records if r.name == "absl"] == []
