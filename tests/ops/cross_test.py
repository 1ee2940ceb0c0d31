import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops import cross

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_vector_crosses_by_hand():
    x0 = jnp.array([[1.0, 2.0]])
    weights = jnp.array([[2.0, 4.0], [1.0, -1.0]])
    biases = jnp.array([[0.5, 0.25], [0.0, 1.0]])
    # x0^T w_0 = 10, x_1 = (10 + 0.5 + 1, 20 + 0.25 + 2) = (11.5, 22.25);
    # x_1^T w_1 = -10.75, x_2 = (-10.75 + 11.5, -21.5 + 1 + 22.25).
    crossed = cross.vector_crosses(x0, weights, biases)
    np.testing.assert_array_equal(crossed, [[0.75, 1.75]])


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("layers", [0, 1, 2, 4])
def test_vector_crosses_equal_the_loop(size, layers):
    x0, weights, biases = draw(5, size), draw(layers, size) / 2, draw(layers, size)
    expected = x0.astype(np.float64)
    for weight, bias in zip(weights, biases, strict=True):
        for row, x in zip(expected, x0, strict=True):
            row += x * (row @ weight.astype(np.float64)) + bias
    np.testing.assert_allclose(
        cross.vector_crosses(x0, weights, biases), expected, rtol=1e-5, atol=1e-5
    )


def float64(*arrays):
    return [np.asarray(array, np.float64) for array in arrays]


@pytest.mark.parametrize("size", [1, 2, 9])
def test_matrix_cross_equals_the_loop(size):
    arrays = draw(5, size), draw(5, size), draw(size, size), draw(size)
    x0, x, kernel, bias = float64(*arrays)
    expected = np.zeros((5, size))
    for b in range(5):
        for i in range(size):
            projected = sum(x[b, j] * kernel[j, i] for j in range(size))
            expected[b, i] = x0[b, i] * (projected + bias[i]) + x[b, i]
    np.testing.assert_allclose(
        cross.matrix_cross(*arrays), expected, rtol=1e-5, atol=1e-5
    )


def test_matrix_of_equal_columns_crosses_as_its_vector():
    x0, weights, no_bias = draw(5, 4), draw(2, 4), np.zeros(4, np.float32)
    x = x0
    for weight in weights:
        kernel = np.tile(weight[:, None], (1, 4))
        x = cross.matrix_cross(x0, x, kernel, no_bias)
    np.testing.assert_allclose(
        x,
        cross.vector_crosses(x0, weights, np.zeros((2, 4), np.float32)),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(("size", "experts", "rank"), [(5, 1, 2), (5, 3, 2), (3, 2, 4)])
def test_mixture_cross_equals_the_loop(size, experts, rank):
    arrays = (
        draw(4, size),
        draw(4, size),
        draw(size, experts),
        draw(experts, size, rank),
        draw(experts, rank, rank),
        draw(experts, rank, size),
        draw(size),
    )
    x0, x, gate, down, core, up, bias = float64(*arrays)
    expected = x.copy()
    for b in range(4):
        scores = np.exp([x[b] @ gate[:, i] for i in range(experts)])
        for i in range(experts):
            hidden = np.tanh(np.tanh(x[b] @ down[i]) @ core[i])
            expert = x0[b] * (hidden @ up[i] + bias)
            expected[b] += scores[i] / scores.sum() * expert
    np.testing.assert_allclose(
        cross.mixture_cross(*arrays), expected, rtol=1e-5, atol=1e-5
    )


def test_equal_experts_are_one_expert():
    x0, x, bias = draw(4, 5), draw(4, 5), draw(5)
    one = [draw(1, 5, 2), draw(1, 2, 2), draw(1, 2, 5)]
    three = [np.repeat(array, 3, axis=0) for array in one]
    np.testing.assert_allclose(
        cross.mixture_cross(x0, x, draw(5, 3), *three, bias),
        cross.mixture_cross(x0, x, draw(5, 1), *one, bias),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("size", [1, 2, 9])
def test_gated_cross_equals_the_loop(size):
    arrays = (
        draw(5, size),
        draw(5, size),
        draw(size, size),
        draw(size),
        draw(size, size),
    )
    x0, x, kernel, bias, gate = float64(*arrays)
    expected = np.zeros((5, size))
    for b in range(5):
        for i in range(size):
            projected = sum(x[b, j] * kernel[j, i] for j in range(size))
            score = sum(x[b, j] * gate[j, i] for j in range(size))
            crossed = x0[b, i] * (projected + bias[i]) / (1 + np.exp(-score))
            expected[b, i] = crossed + x[b, i]
    np.testing.assert_allclose(
        cross.gated_cross(*arrays), expected, rtol=1e-5, atol=1e-5
    )


def test_a_gate_of_zeros_halves_what_is_added():
    x0, x, kernel, bias = draw(5, 4), draw(5, 4), draw(4, 4), draw(4)
    np.testing.assert_allclose(
        cross.gated_cross(x0, x, kernel, bias, np.zeros((4, 4), np.float32)) - x,
        (cross.matrix_cross(x0, x, kernel, bias) - x) / 2,
        rtol=1e-5,
        atol=1e-5,
    )


def test_shapes_that_do_not_match_are_refused():
    def ones(*shape):
        return np.ones(shape, np.float32)

    x, square = ones(2, 3), ones(3, 3)
    experts = (ones(3, 2), ones(2, 3, 4), ones(2, 4, 4), ones(2, 4, 3), ones(3))
    for call in (
        lambda: cross.vector_crosses(x, ones(2, 3), ones(2, 1)),
        lambda: cross.matrix_cross(x, x, square, ones(1)),
        lambda: cross.matrix_cross(ones(2, 1), x, square, ones(3)),
        lambda: cross.gated_cross(x, x, square, ones(3), ones(3, 1)),
        lambda: cross.mixture_cross(x, x, *experts[:-1], ones(1)),
    ):
        with pytest.raises(ValueError, match=r"^expected arrays of shapes "):
            call()
    assert cross.mixture_cross(x, x, *experts).shape == (2, 3)
