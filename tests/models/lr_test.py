import examples
import numpy as np
import pytest
import references

from afm_jax import models


@pytest.mark.parametrize("kind", examples.KINDS)
def test_equals_the_formula(kind):
    features = examples.random_features(kind)
    model = models.make("lr", **examples.data_hyperparameters(kind))
    variables = examples.random_variables(model, features)
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(
            variables["params"]["first_order"], features, examples.slot_fields(kind)
        ),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    assert examples.num_parameters(models.make("lr", vocab_size=5389)) == 5390
