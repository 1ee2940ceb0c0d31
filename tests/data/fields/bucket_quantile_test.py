import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from columns import block, given, ids_of

from afm_jax.data.fields import bucket_quantile
from afm_jax.data.fields.bucket_quantile import QuantileBuckets
from afm_jax.errors import InputError

NAN = np.nan


def column(numbers):
    return block(len(numbers), numbers=numbers)


@pytest.mark.parametrize("parts", [1, 4])
def test_quantile_buckets_hold_about_equally_many_training_rows(parts):
    numbers = np.random.default_rng(0).lognormal(size=4000)
    counter = QuantileBuckets(given("n", buckets=8, train_rows=4000))
    for part in np.array_split(numbers, parts):
        counter.count(column(part), np.arange(len(part)))
    fitted = counter.fit(10)
    field = fitted.field
    assert field.vocab_size == 2 + 8
    assert len(field.boundaries) == 7
    ids = ids_of(fitted, column([*numbers, NAN, -1e9, 1e9]))
    counts = np.bincount(np.array(ids[:-3]) - 12, minlength=8)
    assert counts.tolist() == [500] * 8
    assert ids[-3:] == [10, 12, 19]


def test_quantile_edges_that_fall_together_are_one():
    counter = QuantileBuckets(given("n", buckets=10, train_rows=100))
    rows = column([0.0] * 70 + [1] * 20 + [2] * 5 + [NAN] * 5)
    counter.count(rows, np.arange(100))
    fitted = counter.fit(0)
    field = fitted.field
    assert field.boundaries == (1.0,)
    assert ids_of(fitted, rows) == [2] * 70 + [3] * 25 + [0] * 5


def test_quantiles_of_many_rows_are_those_of_a_sample_spread_over_them(monkeypatch):
    monkeypatch.setattr(bucket_quantile, "_SAMPLE", 1000)
    numbers = np.arange(10000.0)
    counter = QuantileBuckets(given("n", buckets=4, train_rows=10000))
    for part in np.array_split(numbers, 7):
        counter.count(column(part), np.arange(len(part)))
    assert sum(len(part) for part in counter._sample) == 1000
    np.testing.assert_allclose(
        counter.fit(0).field.boundaries, [2500, 5000, 7500], atol=9
    )


def test_a_column_without_training_values_is_an_error():
    counter = QuantileBuckets(given("n", buckets=4, train_rows=2))
    counter.count(block(3, numbers=[NAN, NAN, 1]), np.arange(2))
    with pytest.raises(InputError, match="'n' is missing in every training row"):
        counter.fit(0)
