import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models

NUM_PAIRS = 6


def make(kind, **hyperparameters):
    """A small afm_deep with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "afm_deep",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "attention_dim": 5, "hidden_dims": (7, 4)}
        | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("pooling", ["sum", "mean"])
@pytest.mark.parametrize("dense_in_deep", [True, False])
def test_equals_the_formula(kind, pooling, dense_in_deep):
    model, variables, features = make(
        kind, pooling=pooling, dense_in_deep=dense_in_deep
    )
    params = variables["params"]
    slot_fields = samples.slot_fields(kind)
    vectors = references.embed_fields(
        params["embedding"]["table"], features.ids, features.values, slot_fields
    )
    deep = references.attention_pooling(vectors, **params["attention"])
    deep = deep * (NUM_PAIRS if pooling == "sum" else 1)
    if dense_in_deep:
        deep = np.concatenate([deep, features.dense], axis=1)
    deep = references.mlp(params["mlp"], deep)
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(params["first_order"], features, slot_fields)
        + (deep @ params["output"]["kernel"].astype(np.float64))[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_without_hidden_layers_it_is_afm(kind):
    model, variables, features = make(
        kind, hidden_dims=(), pooling="mean", dense_in_deep=False
    )
    afm = models.make(
        "afm",
        **samples.data_hyperparameters(kind),
        embedding_dim=3,
        attention_dim=5,
    )
    np.testing.assert_array_equal(
        model.apply(variables, features), afm.apply(variables, features)
    )


def test_at_uniform_attention_the_deep_part_sees_the_bi_interaction():
    model, variables, features = make("plain", hidden_dims=(), dense_in_deep=False)
    params = variables["params"]
    params["attention"]["query"] = np.zeros_like(params["attention"]["query"])
    params["output"]["kernel"] = np.ones_like(params["output"]["kernel"])
    fm = models.make("fm", **samples.data_hyperparameters("plain"), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_form_first_proposed_is_a_choice_of_hyperparameters():
    _, variables, _ = make(
        "full", pooling="mean", first_order_inputs="dense", dense_in_deep=False
    )
    shapes = jax.tree.map(np.shape, variables["params"])
    assert shapes["first_order"] == {"bias": (1,), "kernel": (3, 1)}
    assert shapes["mlp"]["hidden_0"]["kernel"] == (3, 7)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_and_dropout_train(normalization):
    model, variables, features = make(
        "full", normalization=normalization, dropout_rate=0.5
    )
    logits, updates = model.apply(
        variables,
        features,
        train=True,
        rngs={"dropout": jax.random.key(0)},
        mutable=["batch_stats"],
    )
    assert np.isfinite(logits).all()
    assert {"norm_0", "norm_1"} < set(variables["params"]["mlp"])
    assert set(updates) == ({"batch_stats"} if normalization == "batch" else set())
    for before, after in zip(
        jax.tree.leaves(variables.get("batch_stats", {})),
        jax.tree.leaves(updates),
        strict=True,
    ):
        assert (before != after).all()
