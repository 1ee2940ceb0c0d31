import math

import numpy as np
import pytest

from afm_jax.data.permutation import permute

SIZES = [*range(1, 70), 97, 4096, 4097, 65537, 100_003]


@pytest.mark.parametrize("n", SIZES)
def test_every_element_occurs_exactly_once(n):
    order = permute(np.arange(n), n, key=(7, n))
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_a_part_is_the_same_as_in_the_whole():
    n = 12_345
    whole = permute(np.arange(n), n, key=3)
    part = np.random.default_rng(0).integers(0, n, (5, 11))
    result = permute(part, n, key=3)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, whole[part])


def test_all_permutations_of_four_are_about_equally_likely():
    keys = 2400
    found, counts = np.unique(
        [permute(np.arange(4), 4, key=key) for key in range(keys)],
        axis=0,
        return_counts=True,
    )
    assert len(found) == math.factorial(4)
    assert 60 < counts.min() <= counts.max() < 150


@pytest.mark.parametrize("keys", [(1, 2), ((0, 1), (1, 0)), ((5, 8), (5, 9))])
def test_another_key_is_an_unrelated_order(keys):
    n = 20_000
    one, two = (permute(np.arange(n), n, key=key) for key in keys)
    assert (one == two).sum() < 10
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.04


def test_neighbours_are_spread_as_by_a_random_permutation():
    n, block = 65_536, 4096
    order = permute(np.arange(n), n, key=(0, 0))
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 0.02
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.02
    # Each block in 64 equal parts of the range: 64 expected in a part, deviation 8.
    counts = [
        np.bincount(part * 64 // n, minlength=64) for part in order.reshape(-1, block)
    ]
    assert 5 < np.std(counts) < 10


def test_large_ranges_stay_in_range_and_do_not_collide():
    n = 2**61 + 12345
    order = permute(np.arange(n - 1000, n), n, key=11)
    assert order.min() >= 0
    assert order.max() < n
    assert len(np.unique(order)) == 1000


@pytest.mark.parametrize(
    ("indices", "n"), [([0], 0), ([3], 3), ([-1], 3), ([0], 2**62)]
)
def test_out_of_range_is_refused(indices, n):
    with pytest.raises(ValueError, match=r"is .* expected|outside"):
        permute(np.array(indices), n, key=0)
