import numpy as np

from afm_jax.ops import flat


def test_fields_come_one_after_another_then_the_dense_columns():
    vectors = np.array([[[1.0, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]])
    dense = np.array([[0.5], [1.5]])
    np.testing.assert_array_equal(
        flat.flat_inputs(vectors, dense),
        [[1, 2, 3, 4, 5, 6, 0.5], [7, 8, 9, 10, 11, 12, 1.5]],
    )


def test_no_dense_columns_leave_the_vectors():
    vectors = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    np.testing.assert_array_equal(
        flat.flat_inputs(vectors, np.zeros((3, 0), np.float32)), vectors.reshape(3, 8)
    )
