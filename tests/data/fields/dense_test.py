import math

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import columns as column_files

from afm_jax.data import fields
from afm_jax.data.fields.dense import Dense, signed_log1p
from afm_jax.errors import InputError
from afm_jax.features import DenseColumn

NAN = np.nan


def made(*names, indices=(0,), kinds=("dense",)):
    scales = [fields.kinds()[kind].scale for kind in kinds] * (len(names) // len(kinds))
    return Dense(names, indices, scales)


def block(*numbers):
    return column_files.block(len(numbers[0]), numbers=numbers)


def test_signed_log1p_is_odd_and_keeps_small_numbers():
    numbers = np.array([0, 1e-12, 1, 1382, -3])
    expected = [0, 1e-12, math.log(2), math.log(1383), -math.log(4)]
    np.testing.assert_allclose(signed_log1p(numbers), expected, rtol=1e-12)


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_dense_columns_are_standardised_by_the_training_rows(parts):
    rng = np.random.default_rng(parts)
    numbers = rng.normal([[1e6], [-3], [0]], [[1], [5], [1e-3]], (3, 400))
    numbers[1, rng.random(400) < 0.3] = NAN
    train = np.arange(300)
    dense = made("a", "b", "c", indices=[2, 0, 1])
    ordered = numbers[[1, 2, 0]]
    for part in np.array_split(train, parts):
        dense.count(block(*ordered[:, part]), np.arange(len(part)))
    fitted = dense.fit()
    columns = fitted.columns
    assert [(c.name, c.transform) for c in columns] == [
        ("a", "log1p"),
        ("b", "log1p"),
        ("c", "log1p"),
        ("b", "missing"),
    ]
    mean, std = (
        np.nanmean(numbers[:, :300], axis=1),
        np.nanstd(numbers[:, :300], axis=1),
    )
    np.testing.assert_allclose([c.mean for c in columns[:3]], mean, rtol=1e-11)
    np.testing.assert_allclose([c.std for c in columns[:3]], std, rtol=1e-8)
    encoded = fitted.encode(block(*ordered))
    low, high = (
        np.nanmin(numbers[:, :300], axis=1, keepdims=True),
        np.nanmax(numbers[:, :300], axis=1, keepdims=True),
    )
    assert [(c.low, c.high) for c in columns[:3]] == [
        *zip(low[:, 0], high[:, 0], strict=True)
    ]
    clipped = np.clip(numbers, low, high)
    expected = np.nan_to_num((clipped - mean[:, None]) / std[:, None])
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded[:, :3], expected.T, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoded[:, 3], np.isnan(numbers[1]))


def test_the_blocks_in_which_rows_come_do_not_show():
    numbers = np.random.default_rng(0).normal(3, 2, 1000)
    found = set()
    for parts in range(1, 20):
        dense = made("a")
        for part in np.array_split(numbers, parts):
            dense.count(block(part), np.arange(len(part)))
        found.add(dense.fit().columns)
    assert len(found) == 1


def test_a_column_missing_only_past_training_has_no_missing_column():
    dense = made("a")
    rows = block([1.0, 3, NAN])
    dense.count(rows, np.arange(2))
    fitted = dense.fit()
    assert [column.transform for column in fitted.columns] == ["log1p"]
    assert fitted.encode(rows).tolist() == [[-1], [1], [0]]


def test_a_constant_column_becomes_zero():
    # Sums of such numbers are rounded, so that their deviation is not exactly 0.
    for value in (5.0, *np.log1p([0.1, 1, 3, 7])):
        dense = made("a")
        for rows in (700, 300):
            dense.count(block(np.append(np.full(rows, value), NAN)), np.arange(rows))
        fitted = dense.fit()
        expected = DenseColumn("a", "log1p", value, 1.0, value, value)
        assert fitted.columns[0] == expected
        # What was never trained on counts as the nearest number that was.
        encoded = fitted.encode(block([value, value + 1]))
        np.testing.assert_array_equal(encoded, [[0], [0]])


def test_numbers_are_clipped_to_the_training_range_and_ten_deviations():
    rows = block([0.0] * 9_999 + [1.0] + [-5.0, 0.5, 70.0])
    dense = made("a")
    dense.count(rows, np.arange(10_000))
    fitted = dense.fit()
    (column,) = fitted.columns
    assert column.low == 0
    assert column.high == column.mean + 10 * column.std < 1
    encoded = fitted.encode(rows)[:, 0]
    np.testing.assert_allclose(encoded[-4:], [10, encoded[0], 10, 10], rtol=1e-6)


def test_min_max_puts_the_training_range_at_0_to_1():
    rows = block([10.0, NAN, 30, 15, -1e9, 1e9], [0.0, 1, 3, 7, 1, 1])
    dense = made("a", "b", indices=[0, 1], kinds=["min_max", "dense"])
    dense.count(rows, np.arange(4))
    fitted = dense.fit()
    assert [(c.name, c.transform, c.mean, c.std) for c in fitted.columns] == [
        ("a", "min_max", 10, 20),
        ("b", "log1p", 2.75, pytest.approx(np.std([0, 1, 3, 7]))),
        ("a", "missing", 0, 1),
    ]
    # A missing number counts as the smallest, one out of the range as the nearest in it.
    np.testing.assert_allclose(fitted.encode(rows)[:, 0], [0, 0, 1, 0.25, 0, 1])


def test_a_column_whose_deviation_is_too_small_for_a_number_becomes_zero():
    dense = made("a")
    rows = block([1e-200, 3e-200, 2e-200])
    dense.count(rows, np.arange(3))
    fitted = dense.fit()
    assert fitted.columns[0].std == 1
    np.testing.assert_array_equal(fitted.encode(rows), np.zeros((3, 1)))


def test_a_column_without_training_values_is_an_error():
    dense = made("n")
    dense.count(block([NAN, NAN, 1]), np.arange(2))
    with pytest.raises(InputError, match="'n' is missing in every training row"):
        dense.fit()
