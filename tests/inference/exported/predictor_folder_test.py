"""Whatever an exported folder holds, its reader runs none of it and tells it in one line."""

import functools
import json
import os
import pathlib
import pickle
import re
import shutil

import exported_folders
import json_changes
import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.inference.exported import predictor_folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each format."""
    top = tmp_path_factory.mktemp("exported")
    exported_folders.export_small(top)
    return {format: top / format for format in ("jax", "numpy")}


@pytest.fixture
def copied(folders, tmp_path):
    """Makes a copy of a folder."""

    def copy(format):
        return pathlib.Path(shutil.copytree(folders[format], tmp_path / format))

    return copy


def outcome(patch, folder):
    """The prediction for a row, or else the kind of error and what it tells."""
    return outcome_of(
        lambda: exported_folders.open_folder(patch, folder).predict(
            exported_folders.ROW
        )
    )


def outcome_of(predict):
    try:
        return predict()
    except (RuntimeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def grow(path):
    os.truncate(path, 2**40)


def replace(make, path):
    path.unlink()
    make(path)


DAMAGE = {
    "missing": pathlib.Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "flipped": flip,
    "huge": grow,
    "a folder": functools.partial(replace, pathlib.Path.mkdir),
    "a pipe": functools.partial(replace, os.mkfifo),
    "a loop": functools.partial(replace, lambda path: path.symlink_to(path)),
}
FILES = {
    "about.json": "jax",
    "model.stablehlo": "jax",
    "weights_0.npy": "jax",
    "weights_1.npy": "numpy",
    "vocabulary_0.ids.npy": "numpy",
    "vocabulary_2.bytes.npy": "numpy",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_told_in_one_line(damage, name, copied, monkeypatch):
    folder = copied(FILES[name])
    DAMAGE[damage](folder / name)
    told = outcome(monkeypatch, folder)
    assert told.startswith(f"FolderError: {folder / name}: ")
    assert told.endswith("; export the run again.")
    assert "\n" not in told


def test_files_of_another_folder_are_told(copied, monkeypatch):
    folder = copied("numpy")
    weights = np.load(folder / "weights_1.npy")
    np.save(folder / "weights_1.npy", weights + 1)
    told = outcome(monkeypatch, folder)
    assert told.startswith(
        f"FolderError: {folder / 'weights_1.npy'}: it is not as it was written"
    )


class Bomb:
    """What runs code where it is unpickled."""

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path("bomb"),)


def header(shape, dtype="<i4", version=b"\x01\x00"):
    """The bytes of an .npy file that says that it holds such an array."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}}}".ljust(
        117
    )
    return b"\x93NUMPY" + version + b"\x76\x00" + text.encode() + b"\n" + b"\0" * 64


ARRAYS = {
    "objects": header("(1,)", "|O")[:128] + pickle.dumps([Bomb()]),
    "a pickle": pickle.dumps(Bomb()),
    "negative": header("(-4,)"),
    "too many": header("(1000000000000,)"),
    "more than numbers": header("(10000000000000000000000,)"),
    "no tuple": header("'x'"),
    "an expression": header("(__import__('os').mkdir('bomb'),)"),
    "a newer version": header("(4,)", version=b"\x09\x00"),
    "floats": header("(4,)", "<f8"),
    "other byte order": header("(4,)", ">i4"),
    "structured": header("(4,)", [("a", "<i4")]),
    "a table": header("(4, 4)"),
    "a number": header("()"),
    "ids of others": header("(3,)")[:128] + np.full(3, 10**6, np.int32).tobytes(),
    "too few": header("(1,)")[:128] + np.int32([3]).tobytes(),
    "nothing": b"",
}


@pytest.mark.parametrize("array", ARRAYS)
def test_arrays_by_a_hostile_author_are_told_and_run_no_code(
    array, copied, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = copied("numpy")
    for name in "vocabulary_0.ids.npy", "weights_1.npy":
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(ARRAYS[array])
        exported_folders.seal(folder)
        told = outcome(monkeypatch, folder)
        assert isinstance(told, str)
        assert told.startswith(f"FolderError: {folder}")
        assert "\n" not in told
        (folder / name).write_bytes(before)
    assert not pathlib.Path("bomb").exists()


def test_ends_outside_the_bytes_are_told(copied, monkeypatch):
    folder = copied("numpy")
    path = folder / "vocabulary_0.ends.npy"
    ends = np.load(path)
    for wrong in (ends + 1, ends[::-1].copy(), ends - 10**12, ends * 0):
        np.save(path, wrong)
        exported_folders.seal(folder)
        told = outcome(monkeypatch, folder)
        assert "the values do not end where their bytes do" in told


# For numpy all, but of the files what is said of one.
CHANGED = {
    "numpy": r"(?!crc32|files/[1-9])",
    "jax": r"(program|platforms|jax|weights)\b",
}


@pytest.mark.parametrize("format", CHANGED)
def test_whatever_about_json_says_is_used_or_told_in_one_line(
    format, copied, monkeypatch
):
    folder = copied(format)
    path = folder / "about.json"
    about = json.loads(path.read_text())
    predictor = exported_folders.open_folder(monkeypatch, folder)
    assert isinstance(predictor.predict(exported_folders.ROW), float)
    for way, wrong in json_changes.changes(about):
        if not re.match(CHANGED[format], way):
            continue
        wrong["crc32"] = predictor_folder.crc32_of(wrong)
        path.write_text(json.dumps(wrong))
        with np.errstate(all="ignore"):
            found = outcome_of(
                lambda: type(predictor)(folder).predict(exported_folders.ROW)
            )
        told = isinstance(found, str) and found.startswith(
            ("FolderError", "ValueError")
        )
        assert isinstance(found, float) or (told and "\n" not in found), way


def test_a_text_that_is_no_json_is_told(copied, monkeypatch):
    folder = copied("numpy")
    for text in b"", b"{", b"\xff\xfe", b"[" * 10**6, b"[]", b"5", b"NaN", b"9" * 10**5:
        (folder / "about.json").write_bytes(text)
        told = outcome(monkeypatch, folder)
        assert told.startswith(f"FolderError: {folder / 'about.json'}: ")
        assert "\n" not in told
