from typing import Literal

import pytest

from afm_jax import hyperparameters
from afm_jax.errors import InputError

CASES = [
    ("num_cross_layers", int, "a whole number, 0 or more", 0, -1),
    ("embedding_dim", int, "a whole number, 1 or more", 1, 0),
    ("low_rank_dim", int | None, "a whole number or None, 1 or more", None, 0),
    ("dropout_rate", float, "a number in [0, 1)", 0, 1),
    ("init_stddev", float, "a number above 0", 0.1, 0),
    ("structure", Literal["a", "b"], "one of ('a', 'b')", "b", "c"),
    ("fields", tuple[int, ...], "a tuple of whole numbers", [0, 2], [0.5]),
    ("dense_in_deep", bool, "True or False", True, 1),
]


@pytest.mark.parametrize(("name", "annotation", "words", "right", "wrong"), CASES)
def test_what_is_expected_in_words_is_what_is_checked(
    name, annotation, words, right, wrong
):
    assert hyperparameters.expected(name, annotation) == words
    found = hyperparameters.check("x", name, right, annotation)
    assert found == (tuple(right) if isinstance(right, list) else right)
    with pytest.raises(InputError) as raised:
        hyperparameters.check("x", name, wrong, annotation)
    assert str(raised.value) == f"x is {wrong!r}; expected {words}."


def test_a_whole_number_becomes_the_float_that_is_expected():
    assert type(hyperparameters.check("x", "dropout_rate", 0, float)) is float
