import numpy as np
import pytest
import references
import samples

from afm_jax import models


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    features = samples.random_features(kind)
    slot_fields = samples.slot_fields(kind)
    model = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    variables = samples.random_variables(model, features)
    params = variables["params"]
    vectors = references.embed_fields(
        params["embedding"]["table"], features.ids, features.values, slot_fields
    )
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(params["first_order"], features, slot_fields)
        + references.fm_pair_term(vectors),
        rtol=1e-5,
        atol=1e-5,
    )


def test_zero_embeddings_leave_logistic_regression():
    features = samples.random_features("full")
    data = samples.data_hyperparameters("full")
    model = models.make("fm", **data)
    params = samples.random_variables(model, features)["params"]
    params["embedding"]["table"] = np.zeros_like(params["embedding"]["table"])
    lr_params = {"first_order": params["first_order"]}
    np.testing.assert_array_equal(
        model.apply({"params": params}, features),
        models.make("lr", **data).apply({"params": lr_params}, features),
    )


def test_has_as_many_parameters_as_published_for_frappe():
    model = models.make("fm", vocab_size=5389, embedding_dim=10)
    assert samples.num_parameters(model) == 59280
