import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples

from afm_jax import errors
from afm_jax.ops import interactions, products

SIZES = [(1, 2, 1), (3, 2, 4), (5, 3, 2), (4, 7, 5)]

# <(1, 2), (3, -1)> = 1, <(1, 2), (2, 5)> = 12, <(3, -1), (2, 5)> = 1.
HAND = np.array([[[1, 2], [3, -1], [2, 5]]], np.float32)


def random_normal(*shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def inner_products(v):
    v = np.asarray(v, np.float64)
    return np.array(
        [[row[i] @ row[j] for i, j in references.pairs(len(row))] for row in v]
    )


def outer_product_of_sum(v):
    """The sum of f_i f_j^T over all i and j, its rows from the diagonal on."""
    v = np.asarray(v, np.float64)
    k = v.shape[-1]
    result = []
    for row in v:
        matrix = sum(np.outer(left, right) for left in row for right in row)
        result.append([matrix[m, n] for m in range(k) for n in range(m, k)])
    return np.array(result)


def test_by_hand():
    np.testing.assert_array_equal(products.inner_products(HAND), [[1, 12, 1]])
    hand = HAND + np.array([0, 1], np.float32)  # the sum is (6, 9)
    np.testing.assert_array_equal(products.outer_product_of_sum(hand), [[36, 54, 81]])


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", ["inner_products", "outer_product_of_sum"])
def test_equals_the_double_loop(name, shape):
    v = random_normal(*shape)
    np.testing.assert_allclose(
        getattr(products, name)(v), globals()[name](v), rtol=1e-5, atol=1e-5
    )


def test_inner_products_are_the_sums_of_pair_products_at_real_size():
    v = random_normal(4096, 26, 8)
    expected = samples.optimized_jit(
        lambda v: interactions.pair_products(v).sum(axis=-1)
    )(v)
    found = samples.optimized_jit(products.inner_products)(v)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-5)


def test_the_sum_of_the_inner_products_is_the_fm_pair_term():
    v = random_normal(4, 6, 3)
    np.testing.assert_allclose(
        products.inner_products(v).sum(axis=-1),
        interactions.fm_pair_term(v),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_outer_product_does_not_depend_on_the_order_of_fields():
    v = random_normal(4, 6, 3)
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_allclose(
        products.outer_product_of_sum(v[:, order]),
        products.outer_product_of_sum(v),
        rtol=1e-4,
        atol=1e-5,
    )


def test_leading_dimensions_are_free():
    v = random_normal(2, 3, 4, 5)
    for op in (products.inner_products, products.outer_product_of_sum):
        np.testing.assert_allclose(op(v)[1], op(v[1]), rtol=1e-5)


def test_one_field_has_no_pair():
    v = jnp.ones((2, 1, 3))
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        products.inner_products(v)
    np.testing.assert_array_equal(products.outer_product_of_sum(v), np.ones((2, 6)))
