import numpy as np
import pytest

from afm_jax.features import Rows


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return Rows(
        ids=rng.integers(0, 99, (7, 3)),
        values=None,
        dense=rng.normal(size=(7, 2)),
        labels=rng.random(7),
        numbers=np.arange(70, 77),
    )


def test_rows_are_taken_at_positions_of_any_shape(rows):
    positions = np.array([[5, 0], [5, 6], [1, 2]])
    taken = rows.take(positions)
    assert taken.ids.shape == (3, 2, 3)
    assert taken.values is taken.weights is None
    for found, column in zip(taken, rows, strict=True):
        if column is not None:
            np.testing.assert_array_equal(found, column[positions])


def test_a_slice_of_rows_is_no_copy_and_parts_make_the_whole(rows):
    parts = [rows.slice(0, 3), rows.slice(3, 7)]
    assert all(np.shares_memory(part.ids, rows.ids) for part in parts)
    whole = Rows.concatenate(parts)
    assert whole.values is whole.weights is None
    for found, column in zip(whole, rows, strict=True):
        np.testing.assert_array_equal(found, column)
