import jax
import numpy as np
import pytest

from afm_jax.ops import interactions, log_neurons

# B, F, N, k
SIZES = [(1, 1, 1, 1), (3, 2, 4, 3), (4, 5, 2, 1), (2, 3, 6, 4)]


def random_arrays(size):
    """Positive embeddings, exponents, bias."""
    num_rows, num_fields, num_neurons, k = size
    rng = np.random.default_rng(sum(size))
    return (
        rng.uniform(0.1, 2, (num_rows, num_fields, k)).astype(np.float32),
        rng.normal(size=(num_fields, num_neurons)).astype(np.float32),
        rng.normal(size=num_neurons).astype(np.float32),
    )


def products(embeddings, exponents, bias):
    logarithms = log_neurons.log_magnitudes(embeddings)
    return log_neurons.power_products(logarithms, exponents, bias)


def loop(embeddings, exponents, bias):
    e, w, bias = (np.asarray(x, np.float64) for x in (embeddings, exponents, bias))
    result = np.zeros((len(e), w.shape[1], e.shape[2]))
    for b in range(len(e)):
        for n in range(w.shape[1]):
            result[b, n] = np.exp(bias[n])
            for f in range(len(w)):
                result[b, n] *= e[b, f] ** w[f, n]
    return result


def test_by_hand():
    # 4^.5 3^2 = 18 and 9^.5 2^2 = 12, times e^(ln 2) = 2.
    embeddings = np.array([[[4.0, 9.0], [-3.0, 2.0]]], np.float32)
    exponents = np.array([[0.5], [2.0]], np.float32)
    bias = np.array([np.log(2)], np.float32)
    np.testing.assert_allclose(
        products(embeddings, exponents, bias), [[[36, 24]]], rtol=1e-6
    )


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_loop_of_powers(size):
    arrays = random_arrays(size)
    np.testing.assert_allclose(products(*arrays), loop(*arrays), rtol=1e-5)


def test_exponents_of_one_for_two_fields_give_the_pair_products():
    embeddings, _, _ = random_arrays((3, 4, 1, 5))
    first, second = interactions.pair_indices(4)
    exponents = np.zeros((4, 6), np.float32)
    exponents[first, np.arange(6)] = exponents[second, np.arange(6)] = 1
    np.testing.assert_allclose(
        products(embeddings, exponents, np.zeros(6, np.float32)),
        interactions.pair_products(embeddings),
        rtol=1e-5,
    )


def test_small_magnitudes_are_the_smallest_and_without_gradient():
    numbers = np.array([0.0, -0.003, 0.02, -0.5], np.float32)
    found, gradient = jax.vmap(
        jax.value_and_grad(lambda x: log_neurons.log_magnitudes(x, smallest=0.01))
    )(numbers)
    np.testing.assert_allclose(found, np.log([0.01, 0.01, 0.02, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(gradient, [0, 0, 50, -2], rtol=1e-6)


def test_leading_dimensions_are_free():
    embeddings, exponents, bias = random_arrays((6, 3, 2, 5))
    found = products(embeddings.reshape(2, 3, 3, 5), exponents, bias)
    expected = products(embeddings, exponents, bias)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)


def test_shapes_that_do_not_match_are_refused():
    embeddings, exponents, bias = random_arrays((6, 3, 2, 5))
    for wrong in ((exponents.T, bias), (exponents, bias[:1])):
        with pytest.raises(ValueError, match=r"exponents \[F, N\], bias \[N\], found"):
            products(embeddings, *wrong)
