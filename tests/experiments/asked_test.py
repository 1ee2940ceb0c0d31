"""What can be set is listed by the flag that sets it."""

import re

import pytest

from data import prepare
from experiments import compare, train
from experiments.cli import program


def told(capsys, *arguments, of=train):
    code = program.run(of.main, of.FLAGS, [of.__name__, *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--set=help", "--model=fm"), "  embedding_dim=16: a whole number, 1 or more"),
        (("--set=help", "--model=examples/own_model.py:TwoTowers"), "  width=16: "),
        (("--optimizer_set=help", "--optimizer=adamw"), "  b2=0.999: a finite number"),
        (("--optimizer_set=help", "--optimizer=rmsprop"), "  decay=0.9"),
        (("--loss_set=help", "--loss=focal"), "  gamma=2.0"),
        (("--loss_set=help",), "There is nothing to set."),
    ],
)
def test_help_as_a_setting_lists_what_can_be_set(arguments, words, capsys):
    code, out, err = told(capsys, *arguments)
    assert (code, err) == (0, "")
    assert words in out


def test_a_comparison_lists_what_can_be_set_of_each_model_once(capsys, tmp_path):
    preset = tmp_path / "mine.flags"
    preset.write_text("--model=lr")
    given = ("--models=fm,lr", f"--flagfiles={preset}", "--set=help", "--loss_set=help")
    code, out, err = told(capsys, *given, of=compare)
    assert (code, err) == (0, "")
    heads = [
        line for line in out.splitlines() if re.match(r"(fm|lr|sigmoid\w+): ", line)
    ]
    assert [head.partition(":")[0] for head in heads] == [
        "fm",
        "sigmoid_cross_entropy",
        "lr",
    ]
    code, out, err = told(capsys, "--models=fm", of=compare)
    assert (code, out) == (2, "")
    assert err.startswith("--workdir is required: Folder of the runs")


def test_help_of_an_unknown_model_is_its_mistake(capsys):
    code, out, err = told(capsys, "--set=help", "--model=fmm")
    assert (code, out) == (2, "")
    assert err.startswith("Unknown model 'fmm'")


def test_the_help_of_training_names_every_model_and_data_set(capsys):
    code, out, _ = told(capsys, "--help")
    assert code == 0
    for name in ("xdeepfm", "lr", *prepare.DATASETS):
        assert name in out


def test_every_help_text_is_whole_sentences():
    for flag_values in (train.FLAGS, prepare.FLAGS):
        for name in flag_values:
            text = flag_values[name].help.partition(";\n")[0]
            assert text.endswith("."), (name, text)
