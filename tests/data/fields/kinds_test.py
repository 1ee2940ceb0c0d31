import math

import numpy as np
import pytest

from afm_jax.data import fields, formats
from afm_jax.errors import InputError

LAYOUT = formats.Layout(
    "",
    (
        *(formats.Column(name, "numeric") for name in "ab"),
        formats.Column("c", "categorical"),
    ),
)


def kinds_of(numeric_as):
    options = {option.name: option.default for option in fields.options()}
    chosen = fields.choose(LAYOUT, {**options, "numeric_as": numeric_as})
    assert chosen.pop("c") == fields.Choice("categorical")
    return tuple(choice.kind for choice in chosen.values())


def test_kinds_are_for_all_columns_or_for_one():
    kinds = ["a:bucket_quantile", "bucket_log2"]
    assert kinds_of(kinds) == ("bucket_quantile", "bucket_log2")
    assert kinds_of(["b:bucket_log2"]) == ("dense", "bucket_log2")
    assert kinds_of(["dense"]) == ("dense", "dense")


@pytest.mark.parametrize(
    ("numeric_as", "told"),
    [
        ("log2", "'log2' is none of dense, bucket_log2, bucket_quantile, min_max"),
        ("c:dense", "no numeric column 'c'; there are a, b"),
    ],
)
def test_kinds_that_do_not_exist_are_an_error(numeric_as, told):
    with pytest.raises(InputError, match=told):
        kinds_of([numeric_as])


def test_numbers_are_prepared_for_their_kind():
    kinds = ("bucket_quantile", "bucket_log2", "dense", "min_max")
    columns = tuple(formats.Column(kind, "numeric") for kind in kinds)
    chosen = {kind: fields.Choice(kind) for kind in kinds}
    numbers = np.array([[5.0], [5.0], [5.0], [5.0]])
    prepared = fields.prepare(numbers, formats.Layout("", columns), chosen)
    assert prepared.ravel().tolist() == [5, 2, math.log1p(5), 5]
