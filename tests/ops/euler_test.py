import jax
import numpy as np
import pytest

from afm_jax.ops import euler

# B, F, N, k
SIZES = [(1, 1, 1, 1), (3, 2, 4, 3), (4, 5, 2, 1), (2, 3, 6, 4)]


def random_arrays(size):
    """Log modulus, phase, orders and the two biases."""
    num_rows, num_fields, num_vectors, k = size
    rng = np.random.default_rng(sum(size))
    shapes = (
        *[(num_rows, num_fields, k)] * 2,
        (num_fields, num_vectors),
        *[(num_vectors, k)] * 2,
    )
    return [rng.normal(0, 0.7, shape).astype(np.float32) for shape in shapes]


def as_numpy(vectors):
    return np.asarray(vectors.real) + 1j * np.asarray(vectors.imaginary)


def loop(log_modulus, phase, orders, log_modulus_bias, phase_bias):
    """In NumPy's complex numbers, with the power of z taken from its own phase."""
    log_modulus, phase, orders, log_modulus_bias, phase_bias = (
        np.asarray(x, np.float64)
        for x in (log_modulus, phase, orders, log_modulus_bias, phase_bias)
    )
    result = np.exp(log_modulus_bias + 1j * phase_bias)[None].repeat(len(phase), 0)
    for b in range(len(phase)):
        for n in range(orders.shape[1]):
            for j in range(len(orders)):
                z = np.exp(log_modulus[b, j] + 1j * phase[b, j])
                result[b, n] *= z ** orders[j, n]
    return result


def test_by_hand():
    # (2 e^(i pi/3))^2 (9 e^(i pi))^(1/2) = 4 * 3 e^(i (2/3 + 1/2) pi); 7/6 pi is -150
    # degrees, and e^(ln 0.5 + i pi/6) turns it to -120 with half the length.
    found = euler.complex_products(
        np.log(np.array([[[2.0], [9.0]]], np.float32)),
        np.array([[[np.pi / 3], [np.pi]]], np.float32),
        np.array([[2.0], [0.5]], np.float32),
        np.array([[np.log(0.5)]], np.float32),
        np.array([[np.pi / 6]], np.float32),
    )
    np.testing.assert_allclose(found.real, [[[-3]]], rtol=1e-5)
    np.testing.assert_allclose(found.imaginary, [[[-3 * np.sqrt(3)]]], rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_complex_products_equal_the_loop_of_powers(size):
    arrays = random_arrays(size)
    np.testing.assert_allclose(
        as_numpy(euler.complex_products(*arrays)), loop(*arrays), rtol=1e-4
    )


def test_from_polar_and_back():
    log_modulus, phase, *_ = random_arrays((4, 5, 1, 3))
    vectors = euler.from_polar(np.exp(log_modulus), phase)
    np.testing.assert_allclose(
        as_numpy(vectors), np.exp(log_modulus + 1j * phase), rtol=1e-5
    )
    found = euler.to_log_polar(vectors)
    np.testing.assert_allclose(found[0], log_modulus, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], phase, rtol=1e-5, atol=1e-6)


def test_phases_come_back_between_minus_pi_and_pi():
    phase = np.array([3 * np.pi / 2, -3.5, 0.5, 7], np.float32)
    _, found = euler.to_log_polar(euler.from_polar(np.full(4, 2.0, np.float32), phase))
    expected = np.array([-np.pi / 2, 2 * np.pi - 3.5, 0.5, 7 - 2 * np.pi])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_logarithm_of_zero_is_finite():
    zero = np.zeros((1, 1, 1), np.float32)
    log_modulus, phase = euler.to_log_polar(euler.Complex(zero, zero))
    np.testing.assert_allclose(log_modulus, 0.5 * np.log(1e-8), rtol=1e-6)
    np.testing.assert_array_equal(phase, zero)


@pytest.mark.parametrize("size", [0.0, 1e-30])
def test_nothing_comes_back_through_the_phase_of_zero(size):
    vectors = euler.Complex(np.full(3, size, np.float32), np.full(3, -size, np.float32))
    gradients = jax.jit(jax.grad(lambda z: euler.to_log_polar(z)[1].sum()))(vectors)
    np.testing.assert_array_equal(gradients.real, np.zeros(3))
    np.testing.assert_array_equal(gradients.imaginary, np.zeros(3))


def test_every_array_receives_finite_gradient():
    arrays = random_arrays((3, 4, 2, 5))

    def total(*arrays):
        return sum(part.sum() for part in euler.complex_products(*arrays))

    gradients = jax.jit(jax.grad(total, argnums=range(5)))(*arrays)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert (gradient != 0).all()


def test_shapes_that_do_not_match_are_refused():
    log_modulus, phase, orders, first, second = random_arrays((3, 4, 2, 5))
    for wrong in ((orders.T, first, second), (orders, first, second[:1])):
        with pytest.raises(ValueError, match=r"orders \[4, N\] and biases \[N, 5\]"):
            euler.complex_products(log_modulus, phase, *wrong)
