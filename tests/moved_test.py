"""A module's old name leads to its new one."""

import importlib
import importlib.util

import pytest

from afm_jax import moved


@pytest.mark.parametrize(("old", "new"), moved.MOVED.items())
def test_importing_a_moved_module_names_its_new_place(old, new):
    assert importlib.util.find_spec(new) is not None
    package, _, name = old.rpartition(".")
    for statement in (f"import {old}", f"from {package} import {name}"):
        with pytest.raises(ImportError, match=f"{old} was moved .* import {new} inst"):
            exec(statement)


def test_other_missing_modules_are_missing_as_ever():
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("afm_jax.training.nowhere")
