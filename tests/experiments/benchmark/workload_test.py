"""The rows that benchmarks train on."""

import numpy as np
import pytest

from experiments.benchmark import workload


def test_vocabularies_differ_in_places_only():
    small = workload.random_rows(50, 2_600, used=2_600)
    large = workload.random_rows(50, 26_000, used=2_600)
    np.testing.assert_array_equal(10 * small.ids, large.ids)
    np.testing.assert_array_equal(small.dense, large.dense)
    assert large.ids.dtype == np.int32
    assert large.ids.max() < 26_000


def test_every_field_has_ids_of_its_own_that_follow_zipfs_law():
    ids = workload.random_rows(20_000, 2_600).ids
    assert (ids // 100 == np.arange(26)).all()
    counts = np.bincount(ids[:, 3] - 300, minlength=100)
    # P(value v) is proportional to log(1 + 1 / v).
    expected = 20_000 * np.log2(1 + 1 / np.arange(1, 4)) / np.log2(100)
    np.testing.assert_allclose(counts[:3], expected, rtol=0.1)


def test_fewer_used_ids_than_fields_are_refused():
    with pytest.raises(ValueError, match="used: 5"):
        workload.random_rows(3, 100, used=5)
