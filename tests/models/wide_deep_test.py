import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small wide_deep with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "wide_deep",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4)} | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, params, features = make(kind)
    slot_fields = samples.slot_fields(kind)
    inputs = references.flat_inputs(params["embedding"]["table"], features, slot_fields)
    hidden = references.mlp(params["mlp"], inputs)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.first_order(params["first_order"], features, slot_fields)
        + references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_is_logistic_regression_plus_dnn():
    wide_deep, params, features = make("full")
    data = samples.data_hyperparameters("full")
    wide = models.make("lr", **data)
    deep = models.make("dnn", **data, embedding_dim=3, hidden_dims=(7, 4))
    bias = np.full(1, 0.25, np.float32)
    deep_params = {
        "embedding": params["embedding"],
        "mlp": params["mlp"],
        "output": params["output"] | {"bias": bias},
    }
    wide_logits = wide.apply(
        {"params": {"first_order": params["first_order"]}}, features
    )
    deep_logits = deep.apply({"params": deep_params}, features)
    np.testing.assert_allclose(
        wide_deep.apply({"params": params}, features),
        wide_logits + deep_logits - bias,
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    model = models.make(
        "wide_deep",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 423280
