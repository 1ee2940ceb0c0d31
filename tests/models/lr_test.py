import numpy as np
import pytest
import references
import samples

from afm_jax import models


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    features = samples.random_features(kind)
    model = models.make("lr", **samples.data_hyperparameters(kind))
    variables = samples.random_variables(model, features)
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(
            variables["params"]["first_order"], features, samples.slot_fields(kind)
        ),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    assert samples.num_parameters(models.make("lr", vocab_size=5389)) == 5390
