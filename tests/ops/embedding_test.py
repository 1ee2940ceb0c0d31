import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references

from afm_jax.ops import embedding

TABLE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], np.float32)


def test_by_hand():
    ids = np.array([[0, 1, 2]], np.int32)
    values = np.array([[2.0, 3.0, 1.0]], np.float32)
    # Field 0: 2 (1, 2). Field 1: (3 (3, 4) + 1 (5, 6)) / 2 = (14, 18) / 2.
    np.testing.assert_array_equal(
        embedding.embed_fields(TABLE, ids, values, slot_fields=(0, 1, 1)),
        [[[2, 4], [7, 9]]],
    )


@pytest.mark.parametrize(
    "slot_fields",
    [
        None,
        (0, 1, 2, 3, 4, 5),
        (0, 0, 0, 0, 0, 0),
        (0, 0, 1, 2, 2, 2),
        (0, 1, 1, 2, 3, 3),
        (0, 0, 1, 1, 2, 3),
    ],
)
@pytest.mark.parametrize("with_values", [False, True])
def test_equals_the_double_loop(slot_fields, with_values):
    rng = np.random.default_rng(3)
    table = rng.normal(size=(20, 3)).astype(np.float32)
    ids = rng.integers(0, 20, (8, 6)).astype(np.int32)
    values = None
    if with_values:
        values = rng.uniform(-1, 2, (8, 6)) * rng.integers(0, 2, (8, 6))
        values = values.astype(np.float32)
        values[0] = 0
    np.testing.assert_allclose(
        embedding.embed_fields(table, ids, values, slot_fields=slot_fields),
        references.embed_fields(table, ids, values, slot_fields),
        rtol=1e-5,
        atol=1e-6,
    )


def test_gradient_reaches_the_used_rows_of_the_table_only():
    ids = np.array([[0, 1, 2], [0, 2, 1]], np.int32)
    values = np.array([[2.0, 3.0, 0.0], [1.0, 0.5, 1.5]], np.float32)
    gradient = jax.grad(
        lambda table: embedding.embed_fields(
            table, ids, values, slot_fields=(0, 1, 1)
        ).sum()
    )(TABLE)
    # Id 0: 2 + 1. Id 1: 3 / 1 + 1.5 / 2. Id 2: 0 / 1 + 0.5 / 2. Id 3: none.
    np.testing.assert_array_equal(gradient[:, 0], [3, 3.75, 0.25, 0])


def test_ids_above_2_to_the_24_are_not_confused():
    # Neighbours that float32 cannot tell apart; a [B, 1] look-up in a tall, thin table.
    table = jnp.zeros((2**24 + 4, 1)).at[2**24 + 1, 0].set(1.0)
    ids = np.array([[2**24], [2**24 + 1], [2**24 + 2]], np.int32)
    np.testing.assert_array_equal(
        embedding.embed_fields(table, ids)[:, 0, 0], [0, 1, 0]
    )


def test_an_id_outside_the_table_gives_the_nearest_row():
    outside = embedding.embed_fields(TABLE, np.array([[-1], [4]], np.int32))
    ends = embedding.embed_fields(TABLE, np.array([[0], [3]], np.int32))
    np.testing.assert_array_equal(outside, ends)


@pytest.mark.parametrize(
    ("slot_fields", "message"),
    [
        ((0, 1), "fields of 2 slots; the features have 3"),
        ((1, 2, 3), r"start at 0 and rise by 0 or 1, found \(1, 2, 3\)"),
        ((0, 2, 3), "rise by 0 or 1"),
        ((0, 1, 0), "rise by 0 or 1"),
    ],
)
def test_refuses_other_slot_fields(slot_fields, message):
    with pytest.raises(ValueError, match=message):
        embedding.pool_slots(jnp.ones((2, 3, 4)), slot_fields=slot_fields)


def test_refuses_values_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(2, 1\), expected \(2, 3\)"):
        embedding.pool_slots(jnp.ones((2, 3, 4)), np.ones((2, 1), np.float32))
