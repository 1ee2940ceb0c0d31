"""The scripts of examples/ do what they say."""

import re

import pytest

from examples import dataframe, own_model


@pytest.mark.parametrize(("script", "least"), [(dataframe, 0.7), (own_model, 0.65)])
def test_examples_run_and_learn(script, least, capsys):
    script.main()
    told = capsys.readouterr().out
    auc = float(re.search(r"Validation AUC: (\S+)", told)[1])
    assert auc > least
