"""Modules that have moved: the old name leads to the new one."""

import importlib
import pathlib
import pkgutil

import pytest

import data

CHANGELOG = pathlib.Path(__file__).parents[2] / "CHANGELOG.md"


@pytest.mark.parametrize("name", data.MOVED)
def test_an_import_of_an_old_name_tells_the_new_one(name):
    with pytest.raises(ImportError, match=f"import {data.MOVED[name]} "):
        importlib.import_module(name)


def test_names_are_told_however_they_are_imported():
    with pytest.raises(ImportError, match=r"import afm_jax\.data\.store "):
        from data import store  # noqa: F401
    with pytest.raises(ImportError, match=r"import afm_jax\.data\.formats "):
        import data.readers.csv  # noqa: F401
    with pytest.raises(ImportError, match=r"import afm_jax\.data\.synthetic\.make "):
        from data.synthetic import make  # noqa: F401


@pytest.mark.parametrize("name", data.MOVED)
def test_the_new_name_is_there_and_in_the_changelog(name):
    pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")
    assert pkgutil.resolve_name(data.MOVED[name]) is not None
    assert f"| `{name}` | `{data.MOVED[name]}` |\n" in CHANGELOG.read_text()
