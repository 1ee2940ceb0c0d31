import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples

from afm_jax import errors
from afm_jax.ops import bilinear, interactions

SIZES = [(1, 2, 1), (3, 2, 4), (5, 3, 2), (4, 7, 5)]
TYPES = ["all", "each", "interaction"]


def random_normal(*shape):
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape).astype(np.float32)


def random_kernel(kind, num_fields, k):
    counts = {
        "all": (),
        "each": (num_fields - 1,),
        "interaction": (num_fields * (num_fields - 1) // 2,),
    }
    return random_normal(*counts[kind], k, k)


def squeeze_excitation(v, squeeze, excitation):
    v, squeeze, excitation = (np.float64(x) for x in (v, squeeze, excitation))
    result = []
    for row in v:
        means = np.array([sum(vector) / len(vector) for vector in row])
        weights = np.maximum(np.maximum(means @ squeeze, 0) @ excitation, 0)
        result.append([a * vector for a, vector in zip(weights, row, strict=True)])
    return np.array(result)


def bilinear_interaction(v, kernel, kind):
    v, kernel = np.float64(v), np.float64(kernel)
    result = []
    for row in v:
        products = []
        for pair, (i, j) in enumerate(references.pairs(len(row))):
            choice = {"all": (), "each": (i,), "interaction": (pair,)}[kind]
            products.append((row[i] @ kernel[choice]) * row[j])
        result.append(products)
    return np.array(result)


def test_squeeze_excitation_by_hand():
    # Means (2, -1); hidden relu(2 * 3 + 1 * 1) = 7 with W_1 = (3, -1); weights
    # relu(7 * 2, 7 * -1) = (14, 0).
    v = np.array([[[1, 3], [0, -2]]], np.float32)
    squeeze = np.array([[3], [-1]], np.float32)
    excitation = np.array([[2, -1]], np.float32)
    np.testing.assert_array_equal(
        bilinear.squeeze_excitation(v, squeeze, excitation), [[[14, 42], [0, 0]]]
    )


def test_bilinear_interaction_by_hand():
    # (1, 2) W = (1 * 1 + 2 * 3, 1 * 0 + 2 * 5) = (7, 10).
    v = np.array([[[1, 2], [4, -1]]], np.float32)
    kernel = np.array([[1, 0], [3, 5]], np.float32)
    np.testing.assert_array_equal(
        bilinear.bilinear_interaction(v, kernel), [[[28, -10]]]
    )


@pytest.mark.parametrize("shape", SIZES)
def test_squeeze_excitation_equals_the_loop(shape):
    v = random_normal(*shape)
    squeeze, excitation = random_normal(shape[1], 3), random_normal(3, shape[1])
    np.testing.assert_allclose(
        bilinear.squeeze_excitation(v, squeeze, excitation),
        squeeze_excitation(v, squeeze, excitation),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("kind", TYPES)
def test_bilinear_interaction_equals_the_double_loop(shape, kind):
    v, kernel = random_normal(*shape), random_kernel(kind, *shape[1:])
    np.testing.assert_allclose(
        bilinear.bilinear_interaction(v, kernel),
        bilinear_interaction(v, kernel, kind),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", TYPES)
def test_the_identity_gives_pair_products(kind):
    v = random_normal(3, 5, 4)
    kernel = np.broadcast_to(np.eye(4), random_kernel(kind, 5, 4).shape)
    np.testing.assert_allclose(
        bilinear.bilinear_interaction(v, kernel.astype(np.float32)),
        interactions.pair_products(v),
        rtol=1e-6,
    )


def test_equal_matrices_are_one_matrix_at_real_size():
    v, kernel = random_normal(4096, 12, 8), random_kernel("all", 12, 8)
    op = samples.optimized_jit(bilinear.bilinear_interaction)
    expected = op(v, kernel)
    for count in (11, 66):
        found = op(v, np.repeat(kernel[None], count, axis=0))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", TYPES)
def test_every_matrix_receives_its_own_gradient(kind):
    v, kernel = random_normal(2, 4, 3), random_kernel(kind, 4, 3)
    cotangent = random_normal(2, 6, 3)

    def loss(kernel):
        return (bilinear.bilinear_interaction(v, kernel) * cotangent).sum()

    # Bilinear in the kernel: the gradient's product with it is the loss itself.
    gradient = jax.jit(jax.grad(loss))(kernel)
    np.testing.assert_allclose((gradient * kernel).sum(), loss(kernel), rtol=1e-4)
    assert (gradient != 0).all()
    if kind == "interaction":
        expected = sum(
            np.outer(row[0], row[1] * g[0]) for row, g in zip(v, cotangent, strict=True)
        )
        np.testing.assert_allclose(gradient[0], expected, rtol=1e-4, atol=1e-5)


def test_leading_dimensions_are_free():
    v = random_normal(2, 3, 4, 5)
    squeeze, excitation = random_normal(4, 2), random_normal(2, 4)
    np.testing.assert_allclose(
        bilinear.squeeze_excitation(v, squeeze, excitation)[1],
        bilinear.squeeze_excitation(v[1], squeeze, excitation),
        rtol=1e-5,
    )
    for kind in TYPES:
        kernel = random_kernel(kind, 4, 5)
        np.testing.assert_allclose(
            bilinear.bilinear_interaction(v, kernel)[1],
            bilinear.bilinear_interaction(v[1], kernel),
            rtol=1e-4,
            atol=1e-6,
        )


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"for 3 fields, found \(\(4, 2\), \(2, 4\)\)"):
        bilinear.squeeze_excitation(
            jnp.ones((2, 3, 5)), jnp.ones((4, 2)), jnp.ones((2, 4))
        )
    with pytest.raises(ValueError, match=r"\(3, 5, 5\) or \(6, 5, 5\) .* \(4, 5, 5\)"):
        bilinear.bilinear_interaction(jnp.ones((2, 4, 5)), jnp.ones((4, 5, 5)))
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        bilinear.bilinear_interaction(jnp.ones((2, 1, 5)), jnp.ones((5, 5)))
