import numpy as np
import pytest
import references
import samples

from afm_jax import models

NUM_FIELDS = len(samples.FIELD_SIZES)


def make(kind):
    """A small ffm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make("ffm", **samples.data_hyperparameters(kind), embedding_dim=3)
    return model, samples.random_variables(model, features), features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    slot_fields = samples.slot_fields(kind)
    # The vectors that all fields have for products with field j, k = 3 columns each.
    vectors_for = [
        references.embed_fields(
            params["embedding"]["table"][:, 3 * j : 3 * j + 3],
            features.ids,
            features.values,
            slot_fields,
        )
        for j in range(NUM_FIELDS)
    ]
    expected = references.first_order(params["first_order"], features, slot_fields)
    for b in range(len(expected)):
        for i, j in references.pairs(NUM_FIELDS):
            expected[b] += vectors_for[j][b, i] @ vectors_for[i][b, j]
    np.testing.assert_allclose(
        model.apply(variables, features), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_one_vector_for_all_opposite_fields_is_fm(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = samples.random_variables(fm, features)["params"]
    table = np.tile(fm_params["embedding"]["table"], (1, NUM_FIELDS))
    params = {**fm_params, "embedding": {"table": table}}
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_a_vector_for_each_feature_and_field():
    model = models.make("ffm", vocab_size=5389)
    assert samples.num_parameters(model) == 1 + 5389 + 5389 * 10 * 4
