import jax
import numpy as np
import pytest

from afm_jax.ops import self_attention

# B, F, d, H, t
SIZES = [(1, 1, 1, 1, 1), (3, 2, 4, 2, 3), (2, 5, 3, 1, 6), (4, 3, 2, 3, 1)]


def random_arrays(size):
    """Embeddings, query, key, value and residual."""
    num_rows, num_fields, d, num_heads, t = size
    rng = np.random.default_rng(sum(size))
    shapes = (
        (num_rows, num_fields, d),
        *[(d, num_heads, t)] * 3,
        (d, num_heads * t),
    )
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@jax.jit
def interacting(embeddings, query, key, value, residual):
    weights = self_attention.self_attention_weights(embeddings, query, key)
    return self_attention.interacting_features(weights, embeddings, value, residual)


def weights_loop(e, query, key):
    e, query, key = (np.asarray(x, np.float64) for x in (e, query, key))
    num_rows, num_fields, _ = e.shape
    result = np.zeros((num_rows, query.shape[1], num_fields, num_fields))
    for b in range(num_rows):
        for h in range(query.shape[1]):
            for m in range(num_fields):
                scores = np.array(
                    [
                        (e[b, m] @ query[:, h]) @ (e[b, n] @ key[:, h])
                        for n in range(num_fields)
                    ]
                )
                exponentials = np.exp(scores - scores.max())
                result[b, h, m] = exponentials / exponentials.sum()
    return result


def interacting_loop(e, query, key, value, residual):
    weights = weights_loop(e, query, key)
    e, value, residual = (np.asarray(x, np.float64) for x in (e, value, residual))
    num_rows, num_fields, _ = e.shape
    result = np.zeros((num_rows, num_fields, residual.shape[1]))
    for b in range(num_rows):
        for m in range(num_fields):
            heads = [
                sum(
                    weights[b, h, m, n] * (e[b, n] @ value[:, h])
                    for n in range(num_fields)
                )
                for h in range(value.shape[1])
            ]
            result[b, m] = np.maximum(np.concatenate(heads) + e[b, m] @ residual, 0)
    return result


def test_by_hand():
    # One head of width 1, e = (1, 2): scores 1 * ln(2) / 2 * (1, 2) from the first
    # field give weights proportional to (2^.5, 2), from the second to (2, 4): 1/3, 2/3.
    embeddings = np.array([[[1.0], [2.0]]], np.float32)
    query = np.array([[[1.0]]], np.float32)
    key = np.array([[[np.log(2) / 2]]], np.float32)
    weights = self_attention.self_attention_weights(embeddings, query, key)
    np.testing.assert_allclose(weights[0, 0, 1], [1 / 3, 2 / 3], rtol=1e-6)
    # 3 (1/3 * 1 + 2/3 * 2) = 5 and W_Res e_2 = -1 * 2; the first field has
    # 3 (a + 2 (1 - a)) - 1, a = 1 / (1 + 2^.5).
    value, residual = np.array([[[3.0]]], np.float32), np.array([[-1.0]], np.float32)
    found = self_attention.interacting_features(weights, embeddings, value, residual)
    a = 1 / (1 + np.sqrt(2))
    np.testing.assert_allclose(found[0, :, 0], [3 * (2 - a) - 1, 3], rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_weights_equal_the_loop(size):
    embeddings, query, key, _, _ = random_arrays(size)
    found = self_attention.self_attention_weights(embeddings, query, key)
    np.testing.assert_allclose(
        found, weights_loop(embeddings, query, key), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_interacting_features_equal_the_loop(size):
    arrays = random_arrays(size)
    np.testing.assert_allclose(
        interacting(*arrays), interacting_loop(*arrays), rtol=1e-4, atol=1e-5
    )


def test_without_values_each_field_stays_alone():
    embeddings, query, key, value, residual = random_arrays((3, 4, 5, 2, 3))
    found = interacting(embeddings, query, key, 0 * value, residual)
    np.testing.assert_allclose(
        found, np.maximum(embeddings @ residual, 0), rtol=1e-5, atol=1e-6
    )


def test_equal_scores_give_the_mean_over_the_fields():
    embeddings, query, key, value, residual = random_arrays((3, 4, 5, 2, 3))
    found = interacting(embeddings, 0 * query, key, value, 0 * residual)
    mean = np.einsum("bnd,dht->bht", embeddings, value).reshape(3, 1, 6) / 4
    np.testing.assert_allclose(
        found, np.broadcast_to(np.maximum(mean, 0), found.shape), rtol=1e-5, atol=1e-6
    )


def test_fields_that_change_places_change_places_in_the_result():
    embeddings, *kernels = random_arrays((3, 4, 5, 2, 3))
    order = np.array([2, 0, 3, 1])
    np.testing.assert_allclose(
        interacting(embeddings[:, order], *kernels),
        interacting(embeddings, *kernels)[:, order],
        rtol=1e-4,
        atol=1e-6,
    )


def test_every_array_receives_gradient():
    arrays = random_arrays((3, 4, 5, 2, 3))
    gradients = jax.jit(jax.grad(lambda *x: interacting(*x).sum(), argnums=range(5)))(
        *arrays
    )
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert (gradient != 0).any()


def test_leading_dimensions_are_free():
    embeddings, *kernels = random_arrays((6, 4, 5, 2, 3))
    found = interacting(embeddings.reshape(2, 3, 4, 5), *kernels)
    expected = interacting(embeddings, *kernels)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-5)


def test_shapes_that_do_not_match_are_refused():
    embeddings, query, key, value, residual = random_arrays((3, 4, 5, 2, 3))
    with pytest.raises(ValueError, match=r"query and key \[5, H, t\], found"):
        self_attention.self_attention_weights(embeddings, query, key[:, :1])
    weights = self_attention.self_attention_weights(embeddings, query, key)
    with pytest.raises(ValueError, match=r"residual \[d, H t\], found"):
        self_attention.interacting_features(weights, embeddings, value, residual.T)
