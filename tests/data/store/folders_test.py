"""Which folder is a store, and which holds stores."""

import pathlib

import pytest

from afm_jax.data.store import folders
from afm_jax.errors import InputError


@pytest.fixture
def data_dir(tmp_path):
    for name, version in ("csv", "2.0.0"), ("old", "1.0.0"):
        folder = tmp_path / "prepared" / name / version
        folder.mkdir(parents=True)
        (folder / "schema.json").touch()
    (tmp_path / "prepared" / "runs" / "one").mkdir(parents=True)
    return tmp_path / "prepared"


def test_a_store_is_found_by_its_folder_and_by_that_of_a_version(data_dir, monkeypatch):
    assert folders.names(data_dir) == ("csv", "old")
    for path in data_dir / "csv", data_dir / "csv" / "2.0.0":
        assert folders.locate(path) == (data_dir, "csv")
    assert folders.locate(data_dir / "old" / "1.0.0") == (data_dir, "old")
    for path in data_dir, data_dir / "runs", data_dir / "none":
        assert folders.locate(path) is None
    monkeypatch.chdir(data_dir / "csv")
    assert folders.locate(pathlib.Path()) == (data_dir, "csv")


def test_no_run_goes_where_prepared_data_are(data_dir):
    for path, told in (
        (data_dir, "holds the stores csv, old"),
        (data_dir / "csv", "is a store"),
        (data_dir / "csv" / "2.0.0", "is a store"),
    ):
        with pytest.raises(InputError, match=f"{told}, which data.prepare wrote; name"):
            folders.refuse_stores(path)
    for path in data_dir / "runs", data_dir / "runs" / "one", data_dir / "none":
        folders.refuse_stores(path)
