import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind):
    """A small fwfm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make("fwfm", **samples.data_hyperparameters(kind), embedding_dim=3)
    return model, samples.random_variables(model, features), features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    slot_fields = samples.slot_fields(kind)
    vectors = references.embed_fields(
        params["embedding"]["table"], features.ids, features.values, slot_fields
    )
    expected = references.first_order(params["first_order"], features, slot_fields)
    for b, row in enumerate(vectors):
        pairs = zip(references.pairs(4), params["pair_weights"], strict=True)
        for (i, j), weight in pairs:
            expected[b] += float(weight) * (row[i] @ row[j])
    np.testing.assert_allclose(
        model.apply(variables, features), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_starts_at_pair_weights_of_one_which_are_fm(kind):
    model, variables, features = make(kind)
    params = variables["params"]
    start = samples.initial_variables(
        model, features, lambda variables: variables["params"]["pair_weights"]
    )
    np.testing.assert_array_equal(start, np.ones(6))
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_allclose(
        model.apply({"params": {**params, "pair_weights": start}}, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_one_parameter_for_each_pair_beyond_fm():
    sizes = {"vocab_size": 5389, "embedding_dim": 10}
    fm = samples.num_parameters(models.make("fm", **sizes))
    assert samples.num_parameters(models.make("fwfm", **sizes)) == fm + 10 * 9 / 2
