"""The scripts of examples/ do what they say."""

import pathlib
import re
import runpy

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("script", "least"), [("dataframe.py", 0.7), ("own_model.py", 0.65)]
)
def test_examples_run_and_learn(script, least, capsys):
    runpy.run_path(str(FOLDER / script), run_name="__main__")
    told = capsys.readouterr().out
    auc = float(re.search(r"Validation AUC: (\S+)", told)[1])
    assert auc > least
