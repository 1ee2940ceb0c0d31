"""A module's old name leads to its new one."""

import importlib
import pathlib
import pkgutil

import pytest

import data
from afm_jax import moved

CHANGELOG = pathlib.Path(__file__).parents[1] / "CHANGELOG.md"
MOVED = {**moved.MOVED, **data.MOVED}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_importing_a_moved_name_tells_its_new_place(old, new):
    pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")
    assert pkgutil.resolve_name(new) is not None
    package, _, name = old.rpartition(".")
    for statement in (f"import {old}", f"from {package} import {name}"):
        with pytest.raises(ImportError, match=f"{old} was moved .* import {new} inst"):
            exec(statement)
    assert f"| `{old}` | `{new}` |" in CHANGELOG.read_text()


def test_a_name_within_a_moved_package_leads_to_the_package():
    with pytest.raises(ImportError, match=r"import afm_jax\.data\.formats "):
        import data.readers.csv  # noqa: F401


def test_other_missing_modules_are_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("afm_jax.training.nowhere")
