"""Gathering and scattering the table rows of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.features import Batch, Features
from afm_jax.training import table_rows


def batch_of(ids):
    ids = np.asarray(ids, np.int32)
    zeros = np.zeros(len(ids), np.float32)
    return Batch(Features(ids, None, np.zeros((len(ids), 0), np.float32)), zeros, zeros)


def find_on_device(batch):
    return table_rows.with_unique_ids(batch, vocab_size=60)


@pytest.mark.parametrize("find", [table_rows.deduplicate, find_on_device])
@pytest.mark.parametrize("shape", [(1, 1), (6, 2), (50, 7)])
def test_positions_in_unique_ids_are_the_ids(find, shape):
    ids = np.random.default_rng(0).integers(0, 60, shape)
    found = find(batch_of(ids))
    distinct = np.asarray(found.unique_ids).astype(np.int64)
    assert found.features.ids.dtype == np.int32
    assert (np.diff(distinct) > 0).all()
    np.testing.assert_array_equal(distinct[np.asarray(found.features.ids)], ids)
    assert (distinct < 60).sum() == len(np.unique(ids))
    assert (distinct[len(np.unique(ids)) :] > 1 << 30).all()


@pytest.mark.parametrize("num_rows", [1, 2, 3, 50, 64])
@pytest.mark.parametrize(
    "ranges",
    [
        [(0, 5), (5, 40), (40, 41)],
        [(0, 5), (4, 40), (40, 41)],  # the first two share an id
        [(50, 60), (0, 40)],  # falling
        [(-7, -2), (-2, 3)],
        [(0, 2**30), (2**30, 2**31 - 1)],
        [(-(2**31), 0), (0, 2**31 - 1)],
    ],
)
def test_unique_ids_found_on_the_host_are_those_of_numpy(ranges, num_rows):
    rng = np.random.default_rng(num_rows)
    ids = np.stack([rng.integers(*each, num_rows) for each in ranges], axis=1)
    found = table_rows.deduplicate(batch_of(ids))
    distinct, positions = np.unique(ids, return_inverse=True)
    np.testing.assert_array_equal(found.unique_ids[: distinct.size], distinct)
    np.testing.assert_array_equal(found.features.ids, positions.reshape(ids.shape))


def test_stacked_batches_have_one_padded_size_and_else_the_unique_ids_of_each():
    ids = np.random.default_rng(0).integers(0, [[[9]], [[40]], [[5]]], (3, 50, 4))
    batches = [batch_of(each) for each in ids]
    stacked = table_rows.deduplicate_stack(
        jax.tree.map(lambda *each: np.stack(each), *batches)
    )
    alone = [table_rows.deduplicate(batch) for batch in batches]
    assert stacked.unique_ids.shape == (3, alone[1].unique_ids.size)
    for i, batch in enumerate(alone):
        real = batch.unique_ids[: len(np.unique(ids[i]))]
        np.testing.assert_array_equal(stacked.unique_ids[i, : real.size], real)
        assert table_rows.is_padding(stacked.unique_ids[i, real.size :]).all()
        np.testing.assert_array_equal(stacked.features.ids[i], batch.features.ids)


def test_padded_sizes_are_few_and_waste_at_most_a_quarter():
    sizes = [table_rows.padded_size(count) for count in range(1, 10_000)]
    assert all(size >= count for count, size in enumerate(sizes, 1))
    assert all(size <= max(4, 1.25 * count) for count, size in enumerate(sizes, 1))
    assert len(set(sizes)) < 50


def test_table_rows_taken_and_put_back_change_nothing_else():
    tree = {
        "embedding": {"table": jnp.arange(20.0).reshape(10, 2)},
        "bias": jnp.ones(1),
    }
    chosen = jnp.array([2, 5, 2**31 - 2], jnp.int32)
    small = table_rows.take(tree, chosen)
    np.testing.assert_array_equal(
        small["embedding"]["table"], [[4, 5], [10, 11], [0, 0]]
    )
    small = jax.tree.map(lambda leaf: leaf + 100, small)
    whole = table_rows.put(tree, small, chosen)
    expected = np.arange(20.0).reshape(10, 2)
    expected[[2, 5]] += 100
    np.testing.assert_array_equal(whole["embedding"]["table"], expected)
    np.testing.assert_array_equal(whole["bias"], [101])


def test_a_batch_that_has_its_unique_ids_keeps_them():
    found = table_rows.deduplicate(batch_of([[3, 1], [3, 2]]))
    assert table_rows.with_unique_ids(found, vocab_size=4) is found


def test_unique_ids_found_on_the_device_are_no_more_than_the_vocabulary_and_one():
    ids = np.random.default_rng(1).integers(0, 9, (50, 7))
    found = table_rows.with_unique_ids(batch_of(ids), vocab_size=9)
    assert found.unique_ids.shape == (10,)
    np.testing.assert_array_equal(found.unique_ids[:9], np.arange(9))


@pytest.mark.parametrize("outside", [[-5, -1], [9, 11, 12], [-1, 9, 1 << 30]])
def test_an_id_outside_a_vocabulary_that_occurs_whole_is_still_among_the_unique_ids(
    outside,
):
    ids = np.array([[*range(9), *outside]] * 2)
    found = table_rows.with_unique_ids(batch_of(ids), vocab_size=9)
    wrong = table_rows.outside(found.unique_ids, 9) & ~table_rows.is_padding(
        found.unique_ids
    )
    assert wrong.any()
