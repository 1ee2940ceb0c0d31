import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.data.preparation import spill, splits
from afm_jax.errors import InputError


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
    for given_test in (False, True):
        with pytest.raises(InputError, match="sum to 1"):
            splits.resolve_fractions(fractions, given_test=given_test)


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


def test_fractions_are_of_the_rows_that_are_not_given():
    assert splits.resolve_fractions(None, given_test=False) == (0.8, 0.1, 0.1)
    assert splits.resolve_fractions(None, given_test=True) == (0.9, 0.1)
    assert splits.resolve_fractions([0.7, 0.3], given_test=True) == [0.7, 0.3]
    assert splits.resolve_fractions([0.7, 0.3, 0], given_test=True) == [0.7, 0.3, 0]
    with pytest.raises(InputError, match="the test rows are given; expected those of"):
        splits.resolve_fractions([0.8, 0.1, 0.1], given_test=True)


def blocks(folder, times, given):
    """A spill of blocks with these times and given splits."""
    stored = []
    for index, (part, split) in enumerate(zip(times, given, strict=True)):
        path = folder / str(index)
        with path.open("wb") as file:
            np.save(file, np.array(part))
        stored.append(spill.Stored(path, len(part), split, path))
    layout = formats.Layout("", (), formats.TIME)
    return spill.Spill(layout, stored, {}, {}, {}, False)


def test_validation_rows_are_held_out_of_train_and_given_rows_stay(tmp_path):
    times = [[5, 1], [9, 9, 9], [7, 3, 2]]
    rows = blocks(tmp_path, times, [None, "test", None])
    found = splits.assign(rows, "time", (0.6, 0.4), None)
    assert [part.tolist() for part in found] == [[1, 0], [2, 2, 2], [1, 0, 0]]
    found = splits.assign(rows, "random", (0.6, 0.4), 3)
    drawn = splits.by_position(splits.random_positions(0, 5, 5, 3), (3, 2, 0))
    np.testing.assert_array_equal(np.concatenate([found[0], found[2]]), drawn)
    assert found[1].tolist() == [2, 2, 2]


def test_given_splits_are_taken_as_they_are(tmp_path):
    rows = blocks(tmp_path, [[1], [2, 3]], ["validation", "train"])
    assert [part.tolist() for part in splits.assign(rows, None, None, None)] == [
        [1],
        [0, 0],
    ]
