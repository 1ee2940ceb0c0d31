import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops import cin, interactions

# B, F, H, M, k
SIZES = [(1, 1, 1, 1, 1), (3, 2, 4, 5, 3), (4, 5, 2, 3, 1), (2, 6, 6, 1, 4)]


def random_arrays(size):
    num_rows, num_fields, num_hidden, width, k = size
    rng = np.random.default_rng(sum(size))
    shapes = (
        (num_rows, num_hidden, k),
        (num_rows, num_fields, k),
        (num_fields, num_hidden, width),
    )
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def loop(hidden, embeddings, kernel):
    hidden, embeddings, kernel = (
        np.asarray(x, np.float64) for x in (hidden, embeddings, kernel)
    )
    result = np.zeros((len(hidden), kernel.shape[2], hidden.shape[2]))
    for b in range(len(hidden)):
        for m in range(kernel.shape[2]):
            for f in range(kernel.shape[0]):
                for h in range(kernel.shape[1]):
                    product = hidden[b, h] * embeddings[b, f]
                    result[b, m] += kernel[f, h, m] * product
    return result


def test_by_hand():
    # Products (2, 3) * (5, 7) = (10, 21) with weight 3 and (2, 3) * (1, -1) = (2, -3)
    # with weight 4: (30 + 8, 63 - 12).
    hidden = np.array([[[2.0, 3.0]]], np.float32)
    embeddings = np.array([[[5.0, 7.0], [1.0, -1.0]]], np.float32)
    kernel = np.array([[[3.0]], [[4.0]]], np.float32)
    np.testing.assert_array_equal(
        cin.compressed_interaction(hidden, embeddings, kernel), [[[38, 51]]]
    )


@pytest.mark.parametrize("size", SIZES)
def test_equals_the_loop(size):
    arrays = random_arrays(size)
    np.testing.assert_allclose(
        cin.compressed_interaction(*arrays), loop(*arrays), rtol=1e-5, atol=1e-5
    )


def test_weights_of_one_give_all_pairs_twice_and_the_squares():
    """So over the embeddings themselves it is the square of their sum."""
    _, embeddings, _ = random_arrays((4, 5, 5, 1, 3))
    found = cin.compressed_interaction(
        embeddings, embeddings, np.ones((5, 5, 1), np.float32)
    )
    squares = np.square(embeddings).sum(axis=1)
    np.testing.assert_allclose(
        found[:, 0],
        2 * interactions.bi_interaction(embeddings) + squares,
        rtol=1e-5,
        atol=1e-5,
    )


def test_gradients_are_those_of_the_plain_einsum():
    arrays = random_arrays((3, 4, 5, 2, 3))
    target = np.random.default_rng(1).normal(size=(3, 2, 3)).astype(np.float32)

    def plain(hidden, embeddings, kernel):
        return jnp.einsum("bhk,bfk,fhm->bmk", hidden, embeddings, kernel)

    def gradients(op):
        def total(*arrays):
            return (op(*arrays) * target).sum()

        return jax.jit(jax.grad(total, argnums=(0, 1, 2)))(*arrays)

    found, expected = map(gradients, (cin.compressed_interaction, plain))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_the_products_are_never_there_at_once():
    num_rows, num_fields, num_hidden, k = 64, 16, 32, 8
    size = (num_rows, num_fields, num_hidden, 24, k)
    gradient = jax.grad(
        lambda *x: jnp.square(cin.compressed_interaction(*x)).sum(),
        argnums=(0, 1, 2),
    )
    compiled = jax.jit(gradient).lower(*random_arrays(size)).compile()
    products = 4 * num_rows * num_fields * num_hidden * k
    assert compiled.memory_analysis().temp_size_in_bytes < products / 2


def test_leading_dimensions_are_free():
    hidden, embeddings, kernel = random_arrays((6, 3, 2, 4, 5))
    found = cin.compressed_interaction(
        hidden.reshape(2, 3, 2, 5), embeddings.reshape(2, 3, 3, 5), kernel
    )
    expected = cin.compressed_interaction(hidden, embeddings, kernel)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_shapes_that_do_not_match_are_refused(wrong):
    arrays = random_arrays((3, 4, 5, 2, 3))
    arrays[wrong] = arrays[wrong][:, 1:]
    with pytest.raises(ValueError, match=r"expected hidden \[\.\.\., H, k\].*found"):
        cin.compressed_interaction(*arrays)
