import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops import bilinear_fusion

RNG = np.random.default_rng(0)


def draw(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def test_bilinear_fusion_by_hand():
    first, second = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, -1.0]])
    kernel = jnp.array([[[2.0, 0.0], [5.0, 1.0]]])
    # 1 * 2 * 3 + 2 * 5 * 3 + 2 * 1 * -1
    np.testing.assert_array_equal(
        bilinear_fusion.bilinear_fusion(first, second, kernel), [34]
    )
    # Two heads: 1 * 2 * 3 and 2 * 4 * -1
    heads = jnp.array([[[2.0]], [[4.0]]])
    np.testing.assert_array_equal(
        bilinear_fusion.bilinear_fusion(first, second, heads), [-2]
    )


@pytest.mark.parametrize(("heads", "p", "q"), [(1, 3, 5), (2, 3, 1), (4, 2, 2)])
def test_bilinear_fusion_equals_the_loop(heads, p, q):
    first, second = draw(6, heads * p), draw(6, heads * q)
    kernel = draw(heads, p, q)
    expected = np.zeros(6)
    for b in range(6):
        for n in range(heads):
            for i in range(p):
                for j in range(q):
                    product = float(first[b, n * p + i]) * float(second[b, n * q + j])
                    expected[b] += float(kernel[n, i, j]) * product
    np.testing.assert_allclose(
        bilinear_fusion.bilinear_fusion(first, second, kernel),
        expected,
        rtol=1e-5,
        atol=1e-5,
    )


def test_heads_are_the_blocks_of_one_matrix():
    first, second, kernel = draw(6, 6), draw(6, 4), draw(2, 3, 2)
    matrix = np.zeros((1, 6, 4), np.float32)
    matrix[0, :3, :2], matrix[0, 3:, 2:] = kernel
    np.testing.assert_allclose(
        bilinear_fusion.bilinear_fusion(first, second, kernel),
        bilinear_fusion.bilinear_fusion(first, second, matrix),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_kernel_that_does_not_match_is_refused():
    with pytest.raises(
        ValueError,
        match=r"^a kernel of shape \(2, 3, 2\) fuses vectors of 6 and 4, found 6 and 5$",
    ):
        bilinear_fusion.bilinear_fusion(draw(1, 6), draw(1, 5), draw(2, 3, 2))
