import math

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from columns import block, given, ids_of

from afm_jax.data.fields.bucket_log2 import KIND, Log2Buckets, log2_buckets
from afm_jax.data.fields.vocabulary import load_strings
from afm_jax.errors import InputError

NAN = np.nan


def column(numbers):
    return block(len(numbers), numbers=numbers)


def test_log2_buckets_are_the_published_rule():
    numbers = [-3, -1.5, 0, 1, 2, 2.5, 3, 4, 5, 100, 1382, 1e18]
    expected = [
        (math.floor(math.log(x) ** 2) if x > 2 else int(x)) for x in map(float, numbers)
    ]
    assert log2_buckets(np.array(numbers, float)).tolist() == expected
    assert expected[3] == expected[6] == expected[7] == 1  # 1, 3 and 4 collide
    assert expected[4] == expected[8] == 2  # 2 and 5 collide
    assert np.isnan(log2_buckets(np.array([NAN]))).all()


def test_log2_ids_are_missing_unseen_then_buckets_by_count():
    counter = Log2Buckets(given("n"))
    rows = column(log2_buckets(np.array([0, 1, 3, 4, 50, NAN, -2, 50, 7])))
    counter.count(rows, np.arange(7))
    fitted = counter.fit(20)
    field = fitted.field
    # Of training: bucket 1 three times, then -2, 0 and 15 (of 50) once, as text.
    assert fitted.vocabulary.values.to_list() == ["1", "-2", "0", "15"]
    assert (field.kind, field.vocab_size) == ("bucket_log2", 6)
    assert ids_of(fitted, rows) == [24, 22, 22, 22, 25, 20, 23, 25, 21]


def test_rare_log2_buckets_are_unseen():
    counter = Log2Buckets(given("n", min_count=2))
    rows = column([1.0, 1, 9, 16, 300])
    counter.count(rows, np.arange(4))
    fitted = counter.fit(0)
    assert fitted.field.vocab_size == 3
    assert ids_of(fitted, rows) == [2, 2, 1, 1, 1]


def test_a_loaded_field_has_the_ids_of_its_buckets():
    counter = Log2Buckets(given("n", min_count=2))
    rows = column([9.0, 9, 1, 1, 1, 7, NAN, -4])
    counter.count(rows, np.arange(5))
    fitted = counter.fit(0)
    loaded = KIND.load(fitted.field, 0, load_strings(fitted.field, fitted.vocabulary))
    assert ids_of(loaded, rows) == ids_of(fitted, rows) == [3, 3, 2, 2, 2, 1, 0, 1]


def test_without_a_bucket_of_its_own_every_number_is_unseen():
    counter = Log2Buckets(given("n", min_count=9))
    rows = column([1.0, NAN, 9])
    counter.count(rows, np.arange(3))
    fitted = counter.fit(0)
    loaded = KIND.load(fitted.field, 0, load_strings(fitted.field, fitted.vocabulary))
    assert ids_of(loaded, rows) == ids_of(fitted, rows) == [1, 0, 1]


def test_a_column_without_training_values_is_an_error():
    counter = Log2Buckets(given("n"))
    counter.count(block(3, numbers=[NAN, NAN, 1]), np.arange(2))
    with pytest.raises(InputError, match="'n' is missing in every training row"):
        counter.fit(0)
