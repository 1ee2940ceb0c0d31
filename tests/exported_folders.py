"""Exported folders: opened by their own reader, and changed as by a hostile author."""

import importlib
import json
import pathlib
import sys
import zlib

from afm_jax.inference import exported
from afm_jax.inference.exported import predictor_folder

READER = tuple(
    path.stem for path in pathlib.Path(exported.__file__).parent.glob("predictor*.py")
)
"""The modules of a folder."""


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
