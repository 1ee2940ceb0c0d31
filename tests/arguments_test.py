"""Whatever is given to the library's Python functions, a mistake is told in one line."""

import functools
import pathlib

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import optax

import afm_jax
from afm_jax import api, models
from afm_jax.data import prepare_frames, store_of_ids
from afm_jax.data.formats import columns
from afm_jax.data.preparation.options import DEFAULTS, FOR_ALL
from afm_jax.errors import InputError
from afm_jax.features import Rows
from afm_jax.training.devices import Devices
from afm_jax.training.progress import Options
from afm_jax.training.run.folder import Run
from afm_jax.training.task import Task

NUMBERS = (None, True, -1, 0, 3, 2**70, 1.5, -0.5, float("nan"), 3 + 4j)
TEXTS = ("", "x", "a\0b", "\ud800", b"x", "no\nsuch")
MANY = ((), [], ["x"], [3], [None], {}, {"a": 1}, {3: 4}, {"train": 5}, {1})
ARRAYS = (np.arange(3), np.ones((2, 2)), np.array("x"), np.int64(1))
OTHERS = (object(), int, len, pathlib.Path("nowhere"))
STRANGE = NUMBERS + TEXTS + MANY + ARRAYS + OTHERS
FRAME = {
    "y": [row % 2 for row in range(40)],
    "c": [f"c{row % 5}" for row in range(40)],
    "n": [row / 7 for row in range(40)],
    "t": [f"a|b{row % 3}" for row in range(40)],
    "s": [1_700_000_000 + row for row in range(40)],
}
COLUMNS = {
    "label": "y",
    "categorical": ["c"],
    "numeric": ["n"],
    "multi_valued": ["t"],
    "time": "s",
}
OF_PREPARE = (*FOR_ALL, *columns.OPTIONS)
PREPARED = {name: DEFAULTS[name] for name in OF_PREPARE if name not in COLUMNS}


@functools.cache
def store():
    return prepare_frames(FRAME, **COLUMNS)


@functools.cache
def make_task():
    return Task(models.make("fm", schema=store().schema), learning_rate=0.1)


class Begins(Exception):
    """The arguments were taken, and training would begin."""


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    def begin(task, dataset, devices, run, options):
        api.loop.check(task, dataset, devices, options)
        raise Begins

    monkeypatch.setattr(api.loop, "train_and_evaluate", begin)


def check(function, good, *, names=None):
    """Calls the function with each strange value in the place of each argument."""
    refused, wrong = 0, []
    for name in names or good:
        for value in STRANGE:
            try:
                function(**good | {name: value})
            except InputError as error:
                told, refused = str(error), refused + 1
                if "\n" in told or "--" in told:
                    wrong.append(f"{name}={value!r}: {told}")
            except Begins:
                pass
            except Exception as error:
                wrong.append(f"{name}={value!r}: {type(error).__name__}: {error}")
    assert refused
    assert not wrong, "\n".join(wrong)


def test_of_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"task": make_task(), "store": store(), "epochs": 1}
    options = {"batch_size": 8, "folder": None, "group_field": None, "devices": None}
    defaults = {
        name: field.default for name, field in Options.__dataclass_fields__.items()
    }
    defaults["tables"] = {}
    check(afm_jax.fit, defaults | good | options)
    file = tmp_path / "file"
    file.touch()
    for folder in (file, str(file / "run")):
        with pytest.raises(InputError, match="file is a file; expected a folder"):
            afm_jax.fit(**good, folder=folder)
    one = Devices(store().schema.vocab_size)
    with pytest.raises(Begins):
        afm_jax.fit(**good, devices=one, seed=np.int64(3), batch_size=np.int32(8))


def test_of_task():
    good = {"model": models.make("fm", vocab_size=9), "loss": "focal"}
    good |= {"optimizer": "adam", "learning_rate": 0.1}
    check(Task, good | {"table_update": "rows", "compute_dtype": "float32"})
    check(Task, good | {"optimizer": optax.sgd(0.1)}, names=["learning_rate"])


def test_of_make():
    for name in ("afm_deep", "xdeepfm", "masknet"):
        settings = {
            each.name: each.default for each in models.describe(name).hyperparameters
        }
        check(functools.partial(models.make, name), settings | {"vocab_size": 9})
        check(functools.partial(models.make, name), {"schema": store().schema})
    check(lambda name: models.make(name, vocab_size=9), {"name": "fm"})
    check(lambda name: models.describe(name), {"name": "fm"})


def test_of_prepare_frames():
    check(prepare_frames, {"frames": FRAME} | COLUMNS)
    check(functools.partial(prepare_frames, FRAME, **COLUMNS), PREPARED)
    check(functools.partial(prepare_frames, FRAME), {"like": store()})


def test_of_store_of_ids():
    rng = np.random.default_rng(0)
    rows = Rows(
        rng.integers(0, [5, 9], (40, 2)),
        None,
        rng.normal(size=(40, 3)),
        np.arange(40) % 2,
    )
    good = {"splits": {"train": rows}, "vocab_sizes": (5, 9)}
    check(store_of_ids, good | {"names": None, "dense_names": None})

    def of_rows(**parts):
        return store_of_ids({"train": rows._replace(**parts)}, vocab_sizes=(5, 9))

    check(of_rows, {**rows._asdict(), "weights": None})


def test_of_load_and_predict(tmp_path, monkeypatch):
    monkeypatch.undo()
    monkeypatch.chdir(
        tmp_path
    )  # some of what is given is a name that a folder can have
    run = afm_jax.fit(make_task(), store(), epochs=1, batch_size=32)
    check(lambda frame: run.predict(frame), {"frame": FRAME})
    check(run.save, {"folder": tmp_path / "run"})
    check(run.export, {"folder": tmp_path / "out", "format": "numpy"})
    good = {"folder": run.folder, "model": None, "loss": None}
    check(lambda **given: afm_jax.load(**given).predict(FRAME), good)
    assert Run(run.folder).exists()
