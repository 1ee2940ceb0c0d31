"""Numbers that a user sets are the function's own, and of its kinds."""

import re

import pytest

from afm_jax import settings
from afm_jax.errors import InputError


def function(logits, gamma=2.0, steps=3, exact=False, dtype=None):
    return logits, gamma, steps, exact, dtype


def test_what_has_a_number_or_a_truth_value_by_default_can_be_set():
    assert settings.settable(function) == {"gamma": 2.0, "steps": 3, "exact": False}
    assert settings.settable(lambda x: x) == {}


@pytest.mark.parametrize("given", [{}, {"gamma": 1, "exact": True}, {"steps": 0.5}])
def test_what_can_be_set_is_given_on(given):
    assert settings.check("focal", function, given) == given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"gama": 1.0},
            "focal has no setting 'gama'; it has ('gamma', 'steps', 'exact'). Did you mean 'gamma'?",
        ),
        ({"dtype": 1.0}, "focal has no setting 'dtype'"),
        ({"gamma": "high"}, "focal's gamma is 'high'; expected a finite number."),
        ({"gamma": float("nan")}, "focal's gamma is nan; expected a finite number."),
        ({"gamma": True}, "focal's gamma is True; expected a finite number."),
        ({"exact": 1}, "focal's exact is 1; expected True or False."),
    ],
)
def test_what_cannot_is_named(given, words):
    with pytest.raises(InputError, match=re.escape(words)):
        settings.check("focal", function, given)
