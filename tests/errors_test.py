"""What a mistyped name most likely stands for, and what values are."""

import pathlib
import shlex

import numpy as np
import pytest

from afm_jax import errors

FLAGS = ("learning_rate", "loss", "log_every", "batch_size", "dropout_rate", "l2")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("bs", "batch_size"),
        ("Loss", "loss"),
        ("batch-size", "batch_size"),
        ("batchsize", "batch_size"),
        ("dropout", "dropout_rate"),
        ("drop", "dropout_rate"),
        ("lerning_rate", "learning_rate"),
        ("L2", "l2"),
        ("los", "loss"),
        ("zzz", None),
        ("", None),
        (3, None),
        (None, None),
    ],
)
def test_the_closest_option_is_found_whatever_the_case(word, expected):
    assert errors.closest(word, FLAGS) == expected


def test_an_option_that_is_no_text_is_never_meant():
    assert errors.did_you_mean("Batch", ("batch", None, 3)) == " Did you mean 'batch'?"
    assert errors.did_you_mean("none", (None, 3)) == ""


def test_what_installs_an_extra_works_in_a_clone():
    root = pathlib.Path(__file__).parents[1]
    command, *_ = errors.install("data").split(" in the project's folder")
    assert shlex.split(command) == ["pip", "install", "-e", ".[data]"]
    assert "\ndata =\n" in (root / "setup.cfg").read_text()
    for top in ("afm_jax", "data", "experiments"):
        for path in (root / top).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert "pip install " not in text or path.name == "errors.py", path


def test_a_value_that_is_no_option_is_refused_with_the_one_it_may_stand_for():
    errors.check_one_of("kind", "adam", ["sgd", "adam"])
    told = (
        r"kind must be one of \('sgd', 'adam'\), found 'Adam'\. Did you mean 'adam'\?"
    )
    with pytest.raises(errors.InputError, match=told):
        errors.check_one_of("kind", "Adam", ["sgd", "adam"])
    with pytest.raises(errors.InputError, match=r"found 'x'\.$"):
        errors.check_one_of("kind", "x", ["sgd", "adam"])


def test_a_value_is_shown_in_one_line_that_is_not_long():
    assert errors.shown("a\nb") == r"'a\nb'"
    assert errors.shown(10**400) == "1" + 79 * "0" + "..."
    assert errors.shown(np.ones((2, 2))) == "one of type ndarray"
    assert str(errors.InputError("a\nb c\n")) == "a b c"


@pytest.mark.parametrize("value", [0, "3", 2.0, True, None, 2**63, np.float32(3)])
def test_a_whole_number_is_one_in_its_range(value):
    assert errors.whole_number("x", np.int8(3), least=1) == 3
    with pytest.raises(
        errors.InputError, match=r"^x must be a whole number, 1 or more, f"
    ):
        errors.whole_number("x", value, least=1)


@pytest.mark.parametrize("value", [-0.1, "3", True, None, float("nan"), 10**400, 1.5])
def test_a_number_is_finite_and_in_its_range(value):
    assert errors.number("x", np.float32(0.5), most=1) == 0.5
    with pytest.raises(
        errors.InputError, match=r"^x must be a finite number, 0 or more and"
    ):
        errors.number("x", value, most=1)
