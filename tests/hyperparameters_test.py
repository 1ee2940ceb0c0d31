import dataclasses
import re
import typing
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest

from afm_jax import hyperparameters
from afm_jax.errors import InputError
from afm_jax.hyperparameters import Hyperparameter

CASES = [
    ("num_cross_layers", int, "a whole number, 0 or more", 0, -1),
    ("embedding_dim", int, "a whole number, 1 or more", 1, 0),
    ("low_rank_dim", int | None, "a whole number or None, 1 or more", None, 0),
    ("dropout_rate", float, "a number in [0, 1)", 0, 1),
    ("init_stddev", float, "a number above 0", 0.1, 0),
    ("structure", Literal["a", "b"], "one of ('a', 'b')", "b", "c"),
    ("fields", tuple[int, ...], "a tuple of whole numbers", [0, 2], [0.5]),
    ("dense_in_deep", bool, "True or False", True, 1),
    ("activation", str, "a text", "relu", 3),
    ("names", list[str], "list", ["a"], "a"),
]


@pytest.mark.parametrize(("name", "annotation", "words", "right", "wrong"), CASES)
def test_what_is_expected_in_words_is_what_is_checked(
    name, annotation, words, right, wrong
):
    known = [Hyperparameter(name, annotation)]
    assert known[0].expected == words
    found = hyperparameters.check("x", known, {name: right})
    is_tuple = typing.get_origin(annotation) is tuple
    assert found == {name: tuple(right) if is_tuple else right}
    with pytest.raises(InputError) as raised:
        hyperparameters.check("x", known, {name: wrong})
    assert str(raised.value) == f"x's {name} is {wrong!r}; expected {words}."


def test_a_whole_number_becomes_the_float_that_is_expected():
    known = [Hyperparameter("dropout_rate", float)]
    found = hyperparameters.check("x", known, {"dropout_rate": 0})
    assert type(found["dropout_rate"]) is float


@dataclasses.dataclass
class Own:
    size: int
    activation: Callable[[float], float] = abs
    anything: Any = None
    sizes: list[int] = dataclasses.field(default_factory=lambda: [3])


def test_a_class_of_ones_own_may_have_fields_of_any_type():
    known = hyperparameters.of_class(Own)
    assert [each.default for each in known[1:]] == [abs, None, [3]]
    assert known[0].default is dataclasses.MISSING
    given = {"size": 2, "activation": max, "anything": np.arange(3), "sizes": [1]}
    assert hyperparameters.check("Own", known, given) == given
    with pytest.raises(InputError, match="Own's sizes is 3; expected list"):
        hyperparameters.check("Own", known, {"sizes": 3})


def function(logits, gamma=2.0, steps=3, exact=False, dtype=None):
    return logits, gamma, steps, exact, dtype


def test_of_a_function_what_is_a_number_or_a_truth_value_by_default_can_be_set():
    found = hyperparameters.of_function(function)
    assert [(each.name, each.default, each.expected) for each in found] == [
        ("gamma", 2.0, "a finite number"),
        ("steps", 3, "a finite number"),
        ("exact", False, "True or False"),
    ]
    assert hyperparameters.of_function(lambda x: x) == ()


@pytest.mark.parametrize(
    "given", [{}, {"gamma": 1, "exact": True}, {"steps": 0.5}, {"steps": 2**40}]
)
def test_what_can_be_set_is_given_on(given):
    known = hyperparameters.of_function(function)
    found = hyperparameters.check("focal", known, given)
    assert found == given
    assert [*map(type, found.values())] == [*map(type, given.values())]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"gama": 1.0},
            "focal has no hyperparameter 'gama'; it has ('gamma', 'steps', 'exact'). Did you mean 'gamma'?",
        ),
        ({"dtype": 1.0}, "focal has no hyperparameter 'dtype'"),
        ({"gamma": "high"}, "focal's gamma is 'high'; expected a finite number."),
        ({"gamma": float("nan")}, "focal's gamma is nan; expected a finite number."),
        ({"gamma": True}, "focal's gamma is True; expected a finite number."),
        ({"exact": 1}, "focal's exact is 1; expected True or False."),
    ],
)
def test_what_cannot_is_named(given, words):
    with pytest.raises(InputError, match=re.escape(words)):
        hyperparameters.check("focal", hyperparameters.of_function(function), given)


def test_texts_are_names_with_values():
    found = hyperparameters.read("set", ["a=1", "b=(2,)", "c=x=y", "d="])
    assert found == {"a": 1, "b": (2,), "c": "x=y", "d": ""}
    for text in ("a", "=1"):
        with pytest.raises(InputError, match=f"^--set={text}: expected --set=name=val"):
            hyperparameters.read("set", [text])
