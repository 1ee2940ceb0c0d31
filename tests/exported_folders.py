"""Exported folders: opened by their own reader, and changed as by a hostile author."""

import functools
import importlib
import json
import pathlib
import sys
import types
import zlib

import jax
import numpy as np
import pytest

from afm_jax import models
from afm_jax.data import prepare_frames
from afm_jax.inference import export, exported, restoring
from afm_jax.inference.exported import predictor_folder
from afm_jax.inference.predictor import Predictor
from afm_jax.ops import losses
from afm_jax.training import state

READER = tuple(
    path.stem for path in pathlib.Path(exported.__file__).parent.glob("predictor*.py")
)
"""The modules of a folder."""


ROW = {
    **{"user": "u1", "hashed": "h", "tags": "a|b", "when": "2024-03-05T07:30"},
    **{"log": 5.0, "quantile": 0.5, "price": None},
}
"""A row for `export_small`."""


def export_small(folder):
    """Writes the folders `jax` and `numpy` of an fm with a field of each kind."""
    rng = np.random.default_rng(0)
    rows = 60
    hours = rng.integers(0, 24, rows)
    store = prepare_frames(
        {
            "click": rng.integers(0, 2, rows),
            "user": [f"u{x}" for x in rng.integers(0, 3, rows)],
            "hashed": [f"h{x}" for x in rng.integers(0, 3, rows)],
            "tags": rng.choice(["", "a", "b|a"], rows).tolist(),
            "when": [f"2024-03-01 {hour:02d}:00" for hour in hours],
            "log": rng.integers(1, 9, rows),
            "quantile": rng.normal(size=rows),
            "price": [None, *rng.normal(size=rows - 1).tolist()],
        },
        label="click",
        categorical=["user", "hashed"],
        multi_valued={"tags": "|"},
        numeric=["log", "quantile", "price"],
        numeric_as={"log": "bucket_log2", "quantile": "bucket_quantile"},
        hash_buckets={"hashed": 4},
        time="when",
        time_fields=["hour"],
        na_values=["u2"],
    )
    schema = store.schema
    model = models.make("fm", schema=schema, embedding_dim=2)
    variables = model.init(jax.random.key(0), restoring.example_features(schema))
    variables = state.variables_of(variables["params"], {}, np.float32(0.5))
    loss = losses.make("sigmoid_cross_entropy")
    predictor = Predictor(schema, store.vocabularies, model, variables, loss)
    for format in export.FORMATS:
        export.export(predictor, folder / format, format=format)


@functools.cache
def reader():
    """The reader's module as the package has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(pathlib.Path(exported.__file__).parent)
        for name in READER:
            patch.delitem(sys.modules, name, raising=False)
        return importlib.import_module("predictor")


def load(program, weights, widths):
    """What the reader makes of a program: the function features by name -> logits."""
    about = {name: getattr(program, name) for name in predictor_folder.PROGRAM}
    about = {"program": about, "platforms": program.platforms, "jax": "this one"}
    folder = types.SimpleNamespace(
        path=pathlib.Path("made"),
        about=about,
        read=lambda name: program.mlir_module_serialized,
        weights=lambda: weights,
    )
    zeros = {
        name: np.zeros((1, width), dtype) for name, (width, dtype) in widths.items()
    }
    encoder = types.SimpleNamespace(features=widths, example=lambda: zeros)
    return reader().jax_model(folder, encoder)


def open_folder(patch, folder):
    """The predictor of a folder, as a program beside it would open it."""
    patch.syspath_prepend(folder)
    for name in READER:
        patch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("predictor").Predictor(folder)


def seal(folder, **changed):
    """Makes all checksums right, and about.json say what is `changed`."""
    path = folder / "about.json"
    about = json.loads(path.read_text()) | changed
    for file in about["files"]:
        data = (folder / file["name"]).read_bytes()
        file.update(bytes=len(data), crc32=zlib.crc32(data))
    about["crc32"] = predictor_folder.crc32_of(about)
    path.write_text(json.dumps(about))
