import itertools

import jax
import numpy as np
import pytest
import samples

from afm_jax.ops import anova, interactions

SIZES = [(1, 3, 1), (3, 4, 2), (2, 7, 5)]


def random_normal(*shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def anova_kernel(v, order):
    v = np.asarray(v, np.float64)
    result = np.zeros((v.shape[0], v.shape[2]))
    for b, row in enumerate(v):
        for fields in itertools.combinations(range(len(row)), order):
            result[b] += np.prod([row[i] for i in fields], axis=0)
    return result


def test_by_hand():
    # 2 * 3 * 5 + 2 * 3 * 7 + 2 * 5 * 7 + 3 * 5 * 7 = 30 + 42 + 70 + 105.
    v = np.array([[[2], [3], [5], [7]]], np.float32)
    np.testing.assert_array_equal(anova.anova_kernel(v, 3), [[247]])


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equals_the_loop_over_sets_of_fields(shape, order):
    v = random_normal(*shape)
    np.testing.assert_allclose(
        anova.anova_kernel(v, order), anova_kernel(v, order), rtol=1e-4, atol=1e-5
    )


def test_order_2_is_the_bi_interaction_at_real_size():
    v = random_normal(4096, 26, 8)
    found = samples.optimized_jit(anova.anova_kernel, static_argnums=1)(v, 2)
    expected = samples.optimized_jit(interactions.bi_interaction)(v)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_order_3_equals_the_recursion_at_real_size():
    """Products of three fields of which j is the last: v_j times all pairs before j."""
    v = random_normal(4096, 26, 8)
    found = samples.optimized_jit(anova.anova_kernel, static_argnums=1)(v, 3)
    exact = v.astype(np.float64)
    ending_at = exact
    for _ in range(2):
        ending_at = exact * (np.cumsum(ending_at, axis=1) - ending_at)
    np.testing.assert_allclose(found, ending_at.sum(axis=1), rtol=1e-4, atol=1e-3)


def test_a_field_30_times_as_large_as_the_others_costs_no_more_than_three_digits():
    v = random_normal(8, 10, 3)
    v[:, 4] *= 30
    scale = anova_kernel(np.abs(v), 3)
    error = np.abs(anova.anova_kernel(v, 3) - anova_kernel(v, 3))
    assert (error < 1e-4 * scale).all()


def test_does_not_depend_on_the_order_of_fields():
    v = random_normal(4, 6, 3)
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_allclose(
        anova.anova_kernel(v[:, order], 3),
        anova.anova_kernel(v, 3),
        rtol=1e-4,
        atol=1e-5,
    )


def test_its_gradient_is_the_kernel_of_one_order_less_of_the_other_fields():
    v = random_normal(2, 5, 3)
    gradient = jax.grad(lambda v: anova.anova_kernel(v, 3).sum())(v)
    for i in range(5):
        np.testing.assert_allclose(
            gradient[:, i],
            anova_kernel(np.delete(v, i, axis=1), 2),
            rtol=1e-4,
            atol=1e-5,
        )


def test_fewer_fields_than_the_order_give_zeros():
    np.testing.assert_allclose(
        anova.anova_kernel(random_normal(3, 2, 4), 3), np.zeros((3, 4)), atol=1e-5
    )


def test_leading_dimensions_are_free():
    v = random_normal(2, 3, 4, 5)
    np.testing.assert_allclose(
        anova.anova_kernel(v, 3)[1], anova.anova_kernel(v[1], 3), rtol=1e-5
    )


def test_an_order_below_1_is_refused():
    with pytest.raises(ValueError, match=r"^expected an order of 1 or more, found 0$"):
        anova.anova_kernel(np.ones((2, 3, 4), np.float32), 0)
