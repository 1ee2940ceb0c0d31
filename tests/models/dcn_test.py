import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small dcn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "dcn",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "num_cross_layers": 3, "hidden_dims": (7, 4)}
        | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("num_cross_layers", [1, 3])
def test_equals_the_formula(kind, num_cross_layers):
    model, params, features = make(kind, num_cross_layers=num_cross_layers)
    x0 = references.flat_inputs(
        params["embedding"]["table"], features, samples.slot_fields(kind)
    )
    crossed = x0
    for layer in range(num_cross_layers):
        w = params["cross"]["kernel"][layer].astype(np.float64)
        b = params["cross"]["bias"][layer]
        crossed = np.array(
            [a * (x @ w) + b + x for a, x in zip(x0, crossed, strict=True)]
        )
    hidden = references.mlp(params["mlp"], x0)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], np.concatenate([crossed, hidden], axis=1))[
            :, 0
        ],
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_cross_layers_it_is_dnn_plus_a_linear_term():
    dcn, params, features = make("full", num_cross_layers=0)
    size = 4 * 3 + 3
    linear = {"kernel": params["output"]["kernel"][:size]}
    dnn_params = {
        "embedding": params["embedding"],
        "mlp": params["mlp"],
        "output": params["output"] | {"kernel": params["output"]["kernel"][size:]},
    }
    dnn = models.make(
        "dnn",
        **samples.data_hyperparameters("full"),
        embedding_dim=3,
        hidden_dims=(7, 4),
    )
    x0 = references.flat_inputs(
        params["embedding"]["table"], features, samples.slot_fields("full")
    )
    np.testing.assert_allclose(
        dcn.apply({"params": params}, features),
        dnn.apply({"params": dnn_params}, features)
        + references.linear(linear, x0)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    """The published run had three cross layers."""
    model = models.make(
        "dcn",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        num_cross_layers=3,
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 418591
