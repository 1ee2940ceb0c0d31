import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small fignn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "fignn",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "num_steps": 2} | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(params, x):
    """A dense layer; those inside a GRU cell have a bias or none."""
    result = x @ np.asarray(params["kernel"], np.float64)
    return result + np.asarray(params.get("bias", 0), np.float64)


def gru(params, state, inputs):
    """Cho et al. 2014, with the reset gate behind the product with the state."""
    reset = sigmoid(dense(params["ir"], inputs) + dense(params["hr"], state))
    update = sigmoid(dense(params["iz"], inputs) + dense(params["hz"], state))
    new = np.tanh(dense(params["in"], inputs) + reset * dense(params["hn"], state))
    return (1 - update) * new + update * state


def graph_steps(params, e, num_steps):
    """[M, k], of the fields e [M, k] of one row."""
    edge, outgoing, incoming, bias = (
        np.asarray(params[name], np.float64)
        for name in ("edge", "outgoing", "incoming", "bias")
    )
    num_fields = len(e)
    alpha = np.zeros((num_fields, num_fields))
    for i in range(num_fields):
        for j in range(num_fields):
            score = np.concatenate([e[i], e[j]]) @ edge[:, 0]
            alpha[i, j] = 0 if i == j else np.exp(max(score, 0.01 * score))
        alpha[i] /= alpha[i].sum()
    h = e
    for _ in range(num_steps):
        new = []
        for i in range(num_fields):
            a = bias.copy()
            for j in range(num_fields):
                a += alpha[i, j] * (h[j] @ outgoing[j] @ incoming[i])
            new.append(gru(params["gru"], h[i], a) + e[i])
        h = np.array(new)
    return h


def fields_of(params, features, kind):
    """[B, M, k]: fields, then dense columns."""
    vectors = references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )
    if features.dense.shape[1] == 0:
        return vectors
    kernel = np.asarray(params["dense_embedding"]["kernel"], np.float64)
    numbers = [
        [d * u for d, u in zip(row, kernel, strict=True)] for row in features.dense
    ]
    return np.concatenate([vectors, numbers], axis=1)


def scored(params, h):
    """Logit of the states [M, k] of one row."""
    weights = sigmoid(dense(params["attention"], h.reshape(-1)))
    return sum(
        w * dense(params["score"], x)[0] for w, x in zip(weights, h, strict=True)
    )


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("num_steps", [1, 3])
def test_equals_the_formula(kind, num_steps):
    model, variables, features = make(kind, num_steps=num_steps)
    params = variables["params"]
    expected = [
        scored(params, graph_steps(params["graph"], fields, num_steps))
        for fields in fields_of(params, features, kind)
    ]
    np.testing.assert_allclose(
        model.apply(variables, features), expected, rtol=1e-4, atol=1e-5
    )


def test_a_closed_update_gate_leaves_multiples_of_the_vectors():
    """z = 1 keeps the state, to which each of the steps adds the vector once."""
    model, variables, features = make("full", num_steps=2)
    params = variables["params"]
    for name in ("iz", "hz"):
        params["graph"]["gru"][name]["kernel"][:] = 0
    params["graph"]["gru"]["iz"]["bias"][:] = 100
    expected = [
        scored(params, 3 * fields) for fields in fields_of(params, features, "full")
    ]
    np.testing.assert_allclose(
        model.apply(variables, features), expected, rtol=1e-5, atol=1e-5
    )


def test_number_of_parameters_of_the_default_form():
    """1,000 ids, 10 fields: all by hand."""
    model = models.make("fignn", vocab_size=1000)
    assert samples.num_parameters(model) == (
        1000 * 16
        + (2 * 16 + 2 * 10 * 16 * 16 + 16)
        + (6 * 16 * 16 + 4 * 16)
        + (16 + 1)
        + (160 + 1) * 10
    )
