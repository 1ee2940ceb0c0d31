import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small deepfm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "deepfm",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4)} | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, params, features = make(kind)
    slot_fields = samples.slot_fields(kind)
    table = params["embedding"]["table"]
    vectors = references.embed_fields(table, features.ids, features.values, slot_fields)
    hidden = references.mlp(
        params["mlp"], references.flat_inputs(table, features, slot_fields)
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.first_order(params["first_order"], features, slot_fields)
        + references.fm_pair_term(vectors)
        + references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_without_its_deep_part_it_is_fm(kind):
    model, params, features = make(kind)
    params["output"]["kernel"] = np.zeros_like(params["output"]["kernel"])
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_array_equal(
        model.apply({"params": params}, features),
        fm.apply({"params": fm_params}, features),
    )


def test_both_parts_share_the_vectors():
    """With the pair term taken away this is wide_deep of the same parameters."""
    model, params, features = make("full")
    data = samples.data_hyperparameters("full")
    wide_deep = models.make("wide_deep", **data, embedding_dim=3, hidden_dims=(7, 4))
    vectors = references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields("full"),
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features) - references.fm_pair_term(vectors),
        wide_deep.apply({"params": params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_as_many_parameters_as_published_for_frappe():
    model = models.make(
        "deepfm",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 423280
