import jax
import numpy as np
import pytest

from afm_jax import errors
from afm_jax.ops import graph

# B, F, k
SIZES = [(1, 2, 1), (3, 2, 4), (4, 5, 3), (2, 7, 2)]


def random_arrays(size):
    """Embeddings, receiver, sender, outgoing and incoming."""
    num_rows, num_fields, k = size
    rng = np.random.default_rng(sum(size))
    shapes = ((num_rows, num_fields, k), (k,), (k,), *[(num_fields, k, k)] * 2)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def weights_loop(e, receiver, sender):
    e, receiver, sender = (np.asarray(x, np.float64) for x in (e, receiver, sender))
    result = np.zeros((*e.shape[:2], e.shape[1]))
    for b in range(len(e)):
        for i in range(e.shape[1]):
            for j in range(e.shape[1]):
                score = receiver @ e[b, i] + sender @ e[b, j]
                score = score if score > 0 else 0.01 * score
                result[b, i, j] = 0 if i == j else np.exp(score)
            result[b, i] /= result[b, i].sum()
    return result


def sums_loop(weights, states, outgoing, incoming):
    weights, states, outgoing, incoming = (
        np.asarray(x, np.float64) for x in (weights, states, outgoing, incoming)
    )
    result = np.zeros(states.shape)
    for b in range(len(states)):
        for i in range(states.shape[1]):
            for j in range(states.shape[1]):
                edge = outgoing[j] @ incoming[i]
                result[b, i] += weights[b, i, j] * (states[b, j] @ edge)
    return result


def test_by_hand():
    # Scores of field 0: 1 + (0, ln 3 - 1) for fields 1 and 2, so weights e and 3.
    embeddings = np.array([[[1.0, 0.0], [0.0, 0.0], [0.0, np.log(3) - 1]]], np.float32)
    receiver, sender = np.eye(2, dtype=np.float32)
    weights = graph.edge_weights(embeddings, receiver, sender)
    np.testing.assert_allclose(
        weights[0, 0], np.array([0, np.e, 3]) / (np.e + 3), rtol=1e-6
    )
    # Field 0 gets 0.25 * 2 + 0.75 * 6 = 5 from states doubled on their way out, then
    # times -1 on its way in.
    weights = np.array([[[0, 0.25, 0.75], [1, 0, 0], [0, 1, 0]]], np.float32)
    states = np.array([[[7.0], [1.0], [3.0]]], np.float32)
    outgoing = np.full((3, 1, 1), 2, np.float32)
    incoming = np.array([[[-1.0]], [[1.0]], [[1.0]]], np.float32)
    found = graph.neighbour_sums(weights, states, outgoing, incoming)
    np.testing.assert_allclose(found, [[[-5], [14], [2]]], rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_edge_weights_equal_the_loop(size):
    embeddings, receiver, sender, _, _ = random_arrays(size)
    found = graph.edge_weights(embeddings, receiver, sender)
    np.testing.assert_allclose(
        found, weights_loop(embeddings, receiver, sender), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
    assert (np.diagonal(found, axis1=1, axis2=2) == 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_neighbour_sums_equal_the_loop(size):
    states, receiver, sender, outgoing, incoming = random_arrays(size)
    weights = graph.edge_weights(states, receiver, sender)
    np.testing.assert_allclose(
        graph.neighbour_sums(weights, states, outgoing, incoming),
        sums_loop(weights, states, outgoing, incoming),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_field_receives_nothing_from_itself():
    states, receiver, sender, outgoing, incoming = random_arrays((3, 4, 2))
    weights = graph.edge_weights(states, receiver, sender)
    changed = states.copy()
    changed[:, 2] += 1
    before, after = (
        graph.neighbour_sums(weights, x, outgoing, incoming) for x in (states, changed)
    )
    np.testing.assert_array_equal(before[:, 2], after[:, 2])
    assert (before[:, [0, 1, 3]] != after[:, [0, 1, 3]]).all()


def test_every_array_receives_finite_gradient():
    arrays = random_arrays((3, 4, 2))

    def total(embeddings, receiver, sender, outgoing, incoming):
        weights = graph.edge_weights(embeddings, receiver, sender)
        return graph.neighbour_sums(weights, embeddings, outgoing, incoming).sum()

    for gradient in jax.jit(jax.grad(total, argnums=range(5)))(*arrays):
        assert np.isfinite(gradient).all()
        assert (gradient != 0).any()


def test_leading_dimensions_are_free():
    states, receiver, sender, outgoing, incoming = random_arrays((6, 3, 2))

    @jax.jit
    def step(states):
        weights = graph.edge_weights(states, receiver, sender)
        return graph.neighbour_sums(weights, states, outgoing, incoming)

    found = step(states.reshape(2, 3, 3, 2))
    np.testing.assert_allclose(
        found.reshape(states.shape), step(states), rtol=1e-5, atol=1e-6
    )


def test_one_field_and_shapes_that_do_not_match_are_refused():
    states, receiver, sender, outgoing, incoming = random_arrays((3, 4, 2))
    with pytest.raises(errors.InputError, match="needs 2 fields or more, found 1"):
        graph.edge_weights(states[:, :1], receiver, sender)
    with pytest.raises(ValueError, match=r"receiver and sender \[2\], found"):
        graph.edge_weights(states, receiver, sender[:1])
    weights = graph.edge_weights(states, receiver, sender)
    with pytest.raises(ValueError, match=r"outgoing and incoming \(4, 2, 2\), found"):
        graph.neighbour_sums(weights, states, outgoing, incoming[:1])
