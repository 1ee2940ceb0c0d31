"""Programs in this process, on planted data of few rows."""

import functools

import pytest

from data import program, synthetic
from experiments import runs


@functools.cache
def small_store():
    rows = {"train": 1_100, "validation": 300, "test": 400}
    return synthetic.make(rows=rows, min_count=3)


def run(module, *arguments, store=None):
    """The result of `main` of a program, whose data are `store` whatever it asks for."""
    found = store or small_store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "open_data", lambda dataset, data_dir: found)
        program.parse(module.FLAGS, [module.__name__, *arguments])
        return module.main()
