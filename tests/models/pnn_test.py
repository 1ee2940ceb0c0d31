import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small pnn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "pnn",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4)} | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def embeddings(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("products", ["inner", "outer", "both"])
def test_equals_the_formula(kind, products):
    model, variables, features = make(kind, products=products)
    params = variables["params"]
    vectors = embeddings(params, features, kind)
    inputs = []
    for row, dense in zip(vectors, features.dense, strict=True):
        numbers = [number for vector in row for number in vector]
        if products != "outer":
            numbers += [row[i] @ row[j] for i, j in references.pairs(len(row))]
        if products != "inner":
            matrix = sum(np.outer(left, right) for left in row for right in row)
            numbers += [matrix[m, n] for m in range(3) for n in range(m, 3)]
        inputs.append([*numbers, *dense])
    hidden = references.mlp(params["mlp"], np.array(inputs, np.float64))
    kernel, bias = (np.float64(params["output"][name]) for name in ("kernel", "bias"))
    np.testing.assert_allclose(
        model.apply(variables, features),
        (hidden @ kernel + bias)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_hidden_layers_unit_weights_of_inner_products_are_fm():
    model, variables, features = make("plain", hidden_dims=())
    params = variables["params"]
    kernel = np.zeros((4 * 3 + 6, 1), np.float32)
    kernel[-6:] = 1
    params["output"] = {"kernel": kernel, "bias": np.zeros(1, np.float32)}
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.fm_pair_term(embeddings(params, features, "plain")),
        rtol=1e-5,
        atol=1e-5,
    )


def test_half_the_trace_of_the_outer_product_is_fm_and_half_the_squares():
    """|sum_i f_i|^2 / 2 = sum_{i<j} <f_i, f_j> + sum_i |f_i|^2 / 2."""
    model, variables, features = make("plain", hidden_dims=(), products="outer")
    params = variables["params"]
    kernel = np.zeros((4 * 3 + 6, 1), np.float32)
    kernel[[-6, -3, -1]] = 0.5
    params["output"] = {"kernel": kernel, "bias": np.zeros(1, np.float32)}
    vectors = embeddings(params, features, "plain")
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.fm_pair_term(vectors) + 0.5 * (vectors**2).sum(axis=(1, 2)),
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_products_it_is_dnn():
    model, variables, features = make("full", products="both")
    params = variables["params"]
    first = params["mlp"]["hidden_0"]
    num_products = 6 + 6
    keep = np.r_[0 : 4 * 3, 4 * 3 + num_products : len(first["kernel"])]
    dnn_params = {
        **params,
        "mlp": {
            **params["mlp"],
            "hidden_0": {**first, "kernel": first["kernel"][keep]},
        },
    }
    first["kernel"][4 * 3 : 4 * 3 + num_products] = 0
    dnn = models.make(
        "dnn",
        **samples.data_hyperparameters("full"),
        embedding_dim=3,
        hidden_dims=(7, 4),
    )
    np.testing.assert_allclose(
        model.apply(variables, features),
        dnn.apply({"params": dnn_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("products", "inputs"),
    [("inner", 40 + 45), ("outer", 40 + 10), ("both", 40 + 45 + 10)],
)
def test_has_as_many_parameters_as_the_formula_says(products, inputs):
    """Ten fields of k = 4: 40 numbers, 45 pairs, 10 entries of a 4 x 4 triangle."""
    model = models.make(
        "pnn", vocab_size=100, embedding_dim=4, products=products, hidden_dims=(7, 5)
    )
    expected = 100 * 4 + (inputs + 1) * 7 + (7 + 1) * 5 + (5 + 1)
    assert samples.num_parameters(model) == expected
