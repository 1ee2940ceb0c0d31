import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small dnn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "dnn",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4)} | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("hidden_dims", [(), (5,), (7, 4)])
def test_equals_the_formula(kind, hidden_dims):
    model, params, features = make(kind, hidden_dims=hidden_dims)
    inputs = references.flat_inputs(
        params["embedding"]["table"], features, samples.slot_fields(kind)
    )
    hidden = references.mlp(params.get("mlp", {}), inputs)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    """As the published run of DLRM, which concatenated the vectors and so was a DNN.

    The published run of DNN itself logs one hidden stack with its output more than it
    uses: 400 (100 + 1) + 2 * 400 (400 + 1) and 3 * 800 of batch norm and 401.
    """
    model = models.make(
        "dnn",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 417891
    stack = 400 * 101 + 2 * 400 * 401 + 3 * 800 + 401
    assert samples.num_parameters(model) + stack == 781892
