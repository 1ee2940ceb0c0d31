import math

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.data.fields import numeric
from afm_jax.data.fields.codes import Block
from afm_jax.errors import InputError
from afm_jax.features import DenseColumn

NAN = np.nan


def block(*columns):
    numbers = np.array(columns, np.float64)
    rows = numbers.shape[1]
    return Block(
        times=np.zeros(0),
        labels=np.zeros(rows, np.float32),
        numbers=numbers,
        codes=np.zeros((0, rows), np.uint32),
        values=np.zeros(0),
        many=(),
    )


def written(encoder, rows):
    ids = np.full((len(rows.labels), 1), -1, np.int32)
    encoder.write(rows, ids, None)
    return ids[:, 0].tolist()


def test_log2_buckets_are_the_published_rule():
    numbers = [-3, -1.5, 0, 1, 2, 2.5, 3, 4, 5, 100, 1382, 1e18]
    expected = [
        (math.floor(math.log(x) ** 2) if x > 2 else int(x)) for x in map(float, numbers)
    ]
    assert numeric.log2_buckets(np.array(numbers, float)).tolist() == expected
    assert expected[3] == expected[6] == expected[7] == 1  # 1, 3 and 4 collide
    assert expected[4] == expected[8] == 2  # 2 and 5 collide
    assert np.isnan(numeric.log2_buckets(np.array([NAN]))).all()


def test_signed_log1p_is_odd_and_keeps_small_numbers():
    numbers = np.array([0, 1e-12, 1, 1382, -3])
    expected = [0, 1e-12, math.log(2), math.log(1383), -math.log(4)]
    np.testing.assert_allclose(numeric.signed_log1p(numbers), expected, rtol=1e-12)


def test_log2_ids_are_missing_unseen_then_buckets_by_count():
    encoder = numeric.Log2Buckets("n", 0)
    rows = block(numeric.log2_buckets(np.array([0, 1, 3, 4, 50, NAN, -2, 50, 7])))
    encoder.count(rows, np.arange(7))
    field = encoder.fit(20, 1)
    # Of training: bucket 1 three times, then -2, 0 and 15 (of 50) once, as text.
    assert encoder.vocabulary.values.to_list() == ["1", "-2", "0", "15"]
    assert (field.kind, field.vocab_size) == ("bucket_log2", 6)
    assert written(encoder, rows) == [24, 22, 22, 22, 25, 20, 23, 25, 21]


def test_rare_log2_buckets_are_unseen():
    encoder = numeric.Log2Buckets("n", 0)
    rows = block([1.0, 1, 9, 16, 300])
    encoder.count(rows, np.arange(4))
    assert encoder.fit(0, 2).vocab_size == 3
    assert written(encoder, rows) == [2, 2, 1, 1, 1]


@pytest.mark.parametrize("parts", [1, 4])
def test_quantile_buckets_hold_about_equally_many_training_rows(parts):
    numbers = np.random.default_rng(0).lognormal(size=4000)
    encoder = numeric.QuantileBuckets("n", 0, 8, 4000)
    for part in np.array_split(numbers, parts):
        encoder.count(block(part), np.arange(len(part)))
    field = encoder.fit(10, 1)
    assert field.vocab_size == 2 + 8
    assert len(field.boundaries) == 7
    ids = written(encoder, block([*numbers, NAN, -1e9, 1e9]))
    counts = np.bincount(np.array(ids[:-3]) - 12, minlength=8)
    assert counts.tolist() == [500] * 8
    assert ids[-3:] == [10, 12, 19]


def test_quantile_edges_that_fall_together_are_one():
    encoder = numeric.QuantileBuckets("n", 0, 10, 100)
    rows = block([0.0] * 70 + [1] * 20 + [2] * 5 + [NAN] * 5)
    encoder.count(rows, np.arange(100))
    field = encoder.fit(0, 1)
    assert field.boundaries == (1.0,)
    assert written(encoder, rows) == [2] * 70 + [3] * 25 + [0] * 5


def test_quantiles_of_many_rows_are_those_of_a_sample_spread_over_them(monkeypatch):
    monkeypatch.setattr(numeric, "_QUANTILE_SAMPLE", 1000)
    numbers = np.arange(10000.0)
    encoder = numeric.QuantileBuckets("n", 0, 4, 10000)
    for part in np.array_split(numbers, 7):
        encoder.count(block(part), np.arange(len(part)))
    assert sum(len(part) for part in encoder._sample) == 1000
    np.testing.assert_allclose(encoder.fit(0, 1).boundaries, [2500, 5000, 7500], atol=9)


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_dense_columns_are_standardised_by_the_training_rows(parts):
    rng = np.random.default_rng(parts)
    numbers = rng.normal([[1e6], [-3], [0]], [[1], [5], [1e-3]], (3, 400))
    numbers[1, rng.random(400) < 0.3] = NAN
    train = np.arange(300)
    dense = numeric.Dense(["a", "b", "c"], [2, 0, 1], ["dense"] * 3)
    ordered = numbers[[1, 2, 0]]
    for part in np.array_split(train, parts):
        dense.count(block(*ordered[:, part]), np.arange(len(part)))
    columns = dense.fit()
    assert [(c.name, c.transform) for c in columns] == [
        *(("a", "log1p"), ("b", "log1p"), ("c", "log1p")),
        ("b", "missing"),
    ]
    mean, std = (
        np.nanmean(numbers[:, :300], axis=1),
        np.nanstd(numbers[:, :300], axis=1),
    )
    np.testing.assert_allclose([c.mean for c in columns[:3]], mean, rtol=1e-11)
    np.testing.assert_allclose([c.std for c in columns[:3]], std, rtol=1e-8)
    encoded = dense.encode(block(*ordered))
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
        dense = numeric.Dense(["a"], [0], ["dense"])
        for part in np.array_split(numbers, parts):
            dense.count(block(part), np.arange(len(part)))
        found.add(dense.fit())
    assert len(found) == 1


def test_a_column_missing_only_past_training_has_no_missing_column():
    dense = numeric.Dense(["a"], [0], ["dense"])
    rows = block([1.0, 3, NAN])
    dense.count(rows, np.arange(2))
    assert [column.transform for column in dense.fit()] == ["log1p"]
    assert dense.encode(rows).tolist() == [[-1], [1], [0]]


def test_a_constant_column_becomes_zero():
    # Sums of such numbers are rounded, so that their deviation is not exactly 0.
    for value in (5.0, *np.log1p([0.1, 1, 3, 7])):
        dense = numeric.Dense(["a"], [0], ["dense"])
        for rows in (700, 300):
            dense.count(block(np.append(np.full(rows, value), NAN)), np.arange(rows))
        assert dense.fit()[0] == DenseColumn("a", "log1p", value, 1.0, value, value)
        # What was never trained on counts as the nearest number that was.
        encoded = dense.encode(block([value, value + 1]))
        np.testing.assert_array_equal(encoded, [[0], [0]])


def test_numbers_are_clipped_to_the_training_range_and_ten_deviations():
    rows = block([0.0] * 9_999 + [1.0] + [-5.0, 0.5, 70.0])
    dense = numeric.Dense(["a"], [0], ["dense"])
    dense.count(rows, np.arange(10_000))
    (column,) = dense.fit()
    assert column.low == 0
    assert column.high == column.mean + 10 * column.std < 1
    encoded = dense.encode(rows)[:, 0]
    np.testing.assert_allclose(encoded[-4:], [10, encoded[0], 10, 10], rtol=1e-6)


def test_min_max_puts_the_training_range_at_0_to_1():
    rows = block([10.0, NAN, 30, 15, -1e9, 1e9], [0.0, 1, 3, 7, 1, 1])
    dense = numeric.Dense(["a", "b"], [0, 1], ["min_max", "dense"])
    dense.count(rows, np.arange(4))
    assert [(c.name, c.transform, c.mean, c.std) for c in dense.fit()] == [
        ("a", "min_max", 10, 20),
        ("b", "log1p", 2.75, pytest.approx(np.std([0, 1, 3, 7]))),
        ("a", "missing", 0, 1),
    ]
    # A missing number counts as the smallest, one out of the range as the nearest in it.
    np.testing.assert_allclose(dense.encode(rows)[:, 0], [0, 0, 1, 0.25, 0, 1])


def test_a_column_whose_deviation_is_too_small_for_a_number_becomes_zero():
    dense = numeric.Dense(["a"], [0], ["dense"])
    rows = block([1e-200, 3e-200, 2e-200])
    dense.count(rows, np.arange(3))
    assert dense.fit()[0].std == 1
    np.testing.assert_array_equal(dense.encode(rows), np.zeros((3, 1)))


def test_a_column_without_training_values_is_an_error():
    rows = block([NAN, NAN, 1])
    for encoder in (
        numeric.Log2Buckets("n", 0),
        numeric.QuantileBuckets("n", 0, 4, 2),
    ):
        encoder.count(rows, np.arange(2))
        with pytest.raises(InputError, match="'n' is missing in every training row"):
            encoder.fit(0, 1)
    dense = numeric.Dense(["n"], [0], ["dense"])
    dense.count(rows, np.arange(2))
    with pytest.raises(InputError, match="'n' is missing in every training row"):
        dense.fit()


LAYOUT = formats.Layout(
    "",
    (
        *(formats.Column(name, "numeric") for name in "ab"),
        formats.Column("c", "categorical"),
    ),
)


def test_kinds_are_for_all_columns_or_for_one():
    kinds = ["a:bucket_quantile", "bucket_log2"]
    assert numeric.kinds(LAYOUT, kinds) == ("bucket_quantile", "bucket_log2")
    assert numeric.kinds(LAYOUT, ["b:bucket_log2"]) == ("dense", "bucket_log2")
    assert numeric.kinds(LAYOUT, ["dense"]) == ("dense", "dense")


@pytest.mark.parametrize(
    ("numeric_as", "told"),
    [
        ("log2", "'log2' is none of dense, min_max, bucket_log2, bucket_quantile"),
        ("c:dense", "no numeric column 'c'; there are a, b"),
    ],
)
def test_kinds_that_do_not_exist_are_an_error(numeric_as, told):
    with pytest.raises(InputError, match=told):
        numeric.kinds(LAYOUT, [numeric_as])


def test_numbers_are_prepared_for_their_kind():
    numbers = np.array([[5.0], [5.0], [5.0], [5.0]])
    kinds = ("bucket_quantile", "bucket_log2", "dense", "min_max")
    assert numeric.prepare(numbers, kinds).ravel().tolist() == [5, 2, math.log1p(5), 5]
