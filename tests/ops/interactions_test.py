import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples

from afm_jax import errors
from afm_jax.ops import interactions

SIZES = [(1, 2, 1), (3, 2, 4), (5, 3, 2), (4, 7, 5)]

# v_1 = (1, 2), v_2 = (3, -1), v_3 = (2, 5).
# v_1 * v_2 = (3, -2), v_1 * v_3 = (2, 10), v_2 * v_3 = (6, -5); sum (11, 3), 14 in all.
HAND = np.array([[[1.0, 2.0], [3.0, -1.0], [2.0, 5.0]]], np.float32)


def random_embeddings(shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def test_by_hand():
    np.testing.assert_array_equal(
        interactions.pair_products(HAND), [[[3, -2], [2, 10], [6, -5]]]
    )
    np.testing.assert_array_equal(interactions.bi_interaction(HAND), [[11, 3]])
    np.testing.assert_array_equal(interactions.fm_pair_term(HAND), [14])


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", ["pair_products", "bi_interaction", "fm_pair_term"])
def test_equals_the_double_loop(name, shape):
    v = random_embeddings(shape)
    np.testing.assert_allclose(
        getattr(interactions, name)(v),
        getattr(references, name)(v),
        rtol=1e-5,
        atol=1e-5,
    )


def test_bi_interaction_is_the_sum_of_pair_products_at_real_size():
    v = random_embeddings((4096, 26, 8))
    expected = samples.optimized_jit(
        lambda v: interactions.pair_products(v).sum(axis=-2)
    )(v)
    found = samples.optimized_jit(interactions.bi_interaction)(v)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-5)


def test_pair_products_are_in_the_order_of_pair_indices():
    v = random_embeddings((3, 5, 2))
    first, second = interactions.pair_indices(5)
    assert list(zip(first, second, strict=True)) == references.pairs(5)
    np.testing.assert_array_equal(
        interactions.pair_products(v), v[:, first] * v[:, second]
    )


def test_fm_pair_term_does_not_depend_on_the_order_of_fields():
    v = random_embeddings((4, 6, 3))
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_allclose(
        interactions.fm_pair_term(v[:, order]), interactions.fm_pair_term(v), rtol=1e-5
    )


def test_gradient_of_fm_pair_term_is_the_sum_of_the_other_fields():
    v = random_embeddings((2, 4, 3))
    gradient = jax.grad(lambda v: interactions.fm_pair_term(v).sum())(v)
    np.testing.assert_allclose(
        gradient, v.sum(axis=1, keepdims=True) - v, rtol=1e-5, atol=1e-6
    )


def test_leading_dimensions_are_free():
    v = random_embeddings((2, 3, 4, 5))
    for op in (
        interactions.pair_products,
        interactions.bi_interaction,
        interactions.fm_pair_term,
    ):
        np.testing.assert_allclose(op(v)[1], op(v[1]), rtol=1e-6)


def test_one_field_has_no_pair():
    v = jnp.ones((2, 1, 3))
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        interactions.pair_products(v)
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        interactions.pair_indices(1)
    np.testing.assert_array_equal(interactions.fm_pair_term(v), [0, 0])
