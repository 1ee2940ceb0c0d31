import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops import cross

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_vector_cross_by_hand():
    x0 = jnp.array([[1.0, 2.0]])
    x = jnp.array([[3.0, -1.0]])
    # x^T w = 3 * 2 - 1 * 4 = 2; x0 * 2 + b + x = (2 + 0.5 + 3, 4 + 0.25 - 1)
    crossed = cross.vector_cross(x0, x, jnp.array([2.0, 4.0]), jnp.array([0.5, 0.25]))
    np.testing.assert_array_equal(crossed, [[5.5, 3.25]])


@pytest.mark.parametrize("size", [1, 2, 9])
def test_vector_cross_equals_the_loop(size):
    x0, x = draw(5, size), draw(5, size)
    weight, bias = draw(size), draw(size)
    expected = np.zeros((5, size))
    for b in range(5):
        projected = sum(float(x[b, j]) * float(weight[j]) for j in range(size))
        for i in range(size):
            expected[b, i] = x0[b, i] * projected + bias[i] + x[b, i]
    np.testing.assert_allclose(
        cross.vector_cross(x0, x, weight, bias), expected, rtol=1e-5, atol=1e-5
    )
