import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples

from afm_jax import errors
from afm_jax.ops import field_pairs, interactions

SIZES = [(1, 2, 1), (3, 2, 4), (5, 3, 2), (4, 7, 5)]


def random_normal(*shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def random_weights(num_fields):
    return random_normal(num_fields * (num_fields - 1) // 2)


def weighted_pair_term(v, weights):
    v, weights = np.asarray(v, np.float64), np.asarray(weights, np.float64)
    result = np.zeros(len(v))
    for b, row in enumerate(v):
        pairs = references.pairs(len(row))
        for (i, j), weight in zip(pairs, weights, strict=True):
            result[b] += weight * (row[i] @ row[j])
    return result


def field_aware_pair_term(v):
    v = np.asarray(v, np.float64)
    return np.array(
        [sum(row[i, j] @ row[j, i] for i, j in references.pairs(len(row))) for row in v]
    )


def test_weighted_pair_term_by_hand():
    # <(1, 2), (3, -1)> = 1, <(1, 2), (2, 5)> = 12, <(3, -1), (2, 5)> = 1.
    v = np.array([[[1, 2], [3, -1], [2, 5]]], np.float32)
    weights = np.array([10, 0.5, -3], np.float32)
    np.testing.assert_array_equal(
        field_pairs.weighted_pair_term(v, weights), [10 * 1 + 0.5 * 12 - 3 * 1]
    )


def test_field_aware_pair_term_by_hand():
    # v_{0,1} = 2 meets v_{1,0} = 5; the diagonal 7 and 11 meets nothing.
    v = np.array([[[[7], [2]], [[5], [11]]]], np.float32)
    np.testing.assert_array_equal(field_pairs.field_aware_pair_term(v), [2 * 5])


@pytest.mark.parametrize("shape", SIZES)
def test_weighted_pair_term_equals_the_double_loop(shape):
    v, weights = random_normal(*shape), random_weights(shape[1])
    np.testing.assert_allclose(
        field_pairs.weighted_pair_term(v, weights),
        weighted_pair_term(v, weights),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", SIZES)
def test_field_aware_pair_term_equals_the_double_loop(shape):
    v = random_normal(shape[0], shape[1], *shape[1:])
    np.testing.assert_allclose(
        field_pairs.field_aware_pair_term(v),
        field_aware_pair_term(v),
        rtol=1e-5,
        atol=1e-5,
    )


def test_weights_of_one_give_the_fm_pair_term_at_real_size():
    v = random_normal(4096, 26, 8)
    found = samples.optimized_jit(field_pairs.weighted_pair_term)(
        v, np.ones(325, np.float32)
    )
    expected = samples.optimized_jit(interactions.fm_pair_term)(v)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_one_vector_for_all_opposite_fields_gives_the_fm_pair_term():
    v = random_normal(4, 5, 3)
    np.testing.assert_allclose(
        field_pairs.field_aware_pair_term(np.repeat(v[:, :, None], 5, axis=2)),
        interactions.fm_pair_term(v),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_gradient_of_the_weights_is_the_inner_product_of_their_pair():
    v, weights = random_normal(1, 4, 3), random_weights(4)
    gradient = jax.jit(jax.grad(lambda w: field_pairs.weighted_pair_term(v, w).sum()))(
        weights
    )
    np.testing.assert_allclose(
        gradient,
        interactions.pair_products(v)[0].sum(axis=-1),
        rtol=1e-5,
        atol=1e-6,
    )


def test_the_gradient_of_a_field_aware_vector_is_its_opposite():
    v = random_normal(2, 4, 4, 3)
    gradient = jax.jit(jax.grad(lambda v: field_pairs.field_aware_pair_term(v).sum()))(
        v
    )
    expected = np.swapaxes(v, 1, 2).copy()
    expected[:, np.arange(4), np.arange(4)] = 0
    np.testing.assert_array_equal(gradient, expected)


def test_leading_dimensions_are_free():
    v, weights = random_normal(2, 3, 4, 5), random_weights(4)
    np.testing.assert_allclose(
        field_pairs.weighted_pair_term(v, weights)[1],
        field_pairs.weighted_pair_term(v[1], weights),
        rtol=1e-5,
    )
    v = random_normal(2, 3, 4, 4, 5)
    np.testing.assert_allclose(
        field_pairs.field_aware_pair_term(v)[1],
        field_pairs.field_aware_pair_term(v[1]),
        rtol=1e-5,
    )


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(
        ValueError, match=r"expected weights \(3,\) for 3 fields, found \(6,\)"
    ):
        field_pairs.weighted_pair_term(jnp.ones((2, 3, 4)), jnp.ones(6))
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        field_pairs.weighted_pair_term(jnp.ones((2, 1, 4)), jnp.ones(0))
    with pytest.raises(ValueError, match=r"\[..., F, F, k\], found \(2, 3, 4, 5\)"):
        field_pairs.field_aware_pair_term(jnp.ones((2, 3, 4, 5)))
