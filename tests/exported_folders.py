"""Exported folders: opened by their own reader, and changed as by a hostile author."""

import functools
import importlib
import json
import pathlib
import sys
import types
import zlib

import numpy as np
import pytest

from afm_jax.inference import exported
from afm_jax.inference.exported import predictor_folder

READER = tuple(
    path.stem for path in pathlib.Path(exported.__file__).parent.glob("predictor*.py")
)
"""The modules of a folder."""


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
