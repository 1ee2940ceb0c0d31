"""Tables are told by their name, and can be replaced by it."""

import numpy as np
import pytest

from afm_jax.training import state


def params():
    rng = np.random.default_rng(0)
    shapes = {
        "embedding": {"table": (5, 2)},
        "first_order": {"table": (5, 1), "bias": (1,)},
        "mlp": {"hidden_0": {"kernel": (2, 3)}},
    }
    return {
        module: {
            name: (
                {key: rng.normal(size=size) for key, size in shape.items()}
                if isinstance(shape, dict)
                else rng.normal(size=shape)
            )
            for name, shape in parts.items()
        }
        for module, parts in shapes.items()
    }


def test_put_tables_replaces_those_named_and_nothing_else():
    before, table = params(), np.arange(10.0).reshape(5, 2)
    after = state.put_tables(before, {"embedding/table": table})
    np.testing.assert_array_equal(after["embedding"]["table"], table)
    after["embedding"]["table"] = before["embedding"]["table"]
    for found, expected in ((after, before), (state.put_tables(before, {}), before)):
        np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("embedding/table", (5, 3)),
        ("deep/table", (5, 2)),
        ("mlp/hidden_0/kernel", (2, 3)),
    ],
)
def test_put_tables_refuses_what_is_no_table_of_the_parameters(name, shape):
    with pytest.raises(ValueError, match=name):
        state.put_tables(params(), {name: np.zeros(shape)})
