import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.errors import InputError
from data import splits


@pytest.mark.parametrize(
    ("rows", "fractions", "expected"),
    [
        (100, (0.8, 0.1, 0.1), (80, 10, 10)),
        (101, (0.8, 0.1, 0.1), (81, 10, 10)),
        (7, (0.5, 0.5), (3, 4, 0)),
        (10, (0.9, 0.1, 0), (9, 1, 0)),
        (45840617, (0.8, 0.1, 0.1), (36672493, 4584062, 4584062)),  # BARS Criteo_x4
    ],
)
def test_sizes_are_the_fractions_and_sum_to_all_rows(rows, fractions, expected):
    assert splits.sizes(rows, fractions) == expected
    assert sum(expected) == rows


@pytest.mark.parametrize(
    "fractions",
    [(1.0,), (), (0.8, 0.1), (0.8, 0.3, -0.1), (0, 1), (1, 0), (0.25,) * 4],
)
def test_fractions_that_are_no_split_are_an_error(fractions):
    with pytest.raises(InputError, match="sum to 1"):
        splits.sizes(100, fractions)


def test_a_split_without_rows_is_an_error():
    with pytest.raises(InputError, match=r"3 rows are too few .* validation"):
        splits.sizes(3, (0.8, 0.1, 0.1))


def test_random_positions_are_a_permutation_whatever_the_blocks():
    whole = splits.random_positions(0, 1000, 1000, 3)
    parts = [splits.random_positions(i, i + 250, 1000, 3) for i in range(0, 1000, 250)]
    assert sorted(whole.tolist()) == list(range(1000))
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert (whole != splits.random_positions(0, 1000, 1000, 4)).any()


def test_positions_fall_into_splits_of_exact_sizes():
    assigned = splits.by_position(np.arange(10)[::-1], (6, 3, 1))
    assert assigned.tolist() == [2, 1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert splits.by_position(np.arange(4), (3, 1, 0)).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("block", [1, 13, 500])
def test_time_positions_are_the_ranks_of_a_stable_sort(block):
    times = np.random.default_rng(block).integers(-5, 60, 500)
    ranks = np.empty(500, np.int64)
    ranks[np.argsort(times, kind="stable")] = np.arange(500)
    blocks = [times[start : start + block] for start in range(0, 500, block)]
    found = splits.time_positions(blocks, *np.unique(times, return_counts=True))
    np.testing.assert_array_equal(np.concatenate(list(found)), ranks)
