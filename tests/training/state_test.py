"""Tables are told by their name, and can be replaced by it."""

import jax
import numpy as np
import pytest
import samples

from afm_jax import models
from afm_jax.training import optimizers, state


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


def make_state(name):
    model = models.make(name, **samples.data_hyperparameters("full"))
    features = samples.random_features("full", seed=0, num_rows=4)
    tx = optimizers.make("adam", 0.1)
    return state.create(model, tx, features, jax.random.key(0))


def test_scalar_tables_lie_side_by_side_and_come_back():
    whole = make_state("fm")
    joined = state.join_scalar_tables(whole)
    first_order = whole.params["first_order"]["table"]
    np.testing.assert_array_equal(joined.scalar_tables[:, :1], first_order)
    assert joined.params["first_order"]["table"].size == 0
    assert joined.scalar_tables.shape == (samples.VOCAB_SIZE, 3)  # and two moments
    tables = [
        leaf.shape[0]
        for path, leaf in jax.tree_util.tree_leaves_with_path(joined)
        if state.is_table(path)
    ]
    assert tables == 7 * [samples.VOCAB_SIZE]
    back = state.split_scalar_tables(joined)
    assert jax.tree.structure(back) == jax.tree.structure(whole)
    jax.tree.map(np.testing.assert_array_equal, back, whole)


def test_a_state_without_scalar_tables_stays_as_it_is():
    whole = make_state("dnn")
    assert state.join_scalar_tables(whole) is whole
    assert state.split_scalar_tables(whole) == whole
