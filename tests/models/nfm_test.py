import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small nfm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "nfm",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4)} | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def bi_interaction(params, features, kind):
    return references.bi_interaction(
        references.embed_fields(
            params["embedding"]["table"],
            features.ids,
            features.values,
            samples.slot_fields(kind),
        )
    )


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("dense_in_deep", [True, False])
def test_equals_the_formula(kind, dense_in_deep):
    model, variables, features = make(kind, dense_in_deep=dense_in_deep)
    params = variables["params"]
    pooled = bi_interaction(params, features, kind)
    if dense_in_deep:
        pooled = np.concatenate([pooled, features.dense], axis=1)
    hidden = references.mlp(params["mlp"], pooled)
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(
            params["first_order"], features, samples.slot_fields(kind)
        )
        + references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_without_hidden_layers_and_with_an_output_of_ones_it_is_fm(kind):
    model, variables, features = make(kind, hidden_dims=(), dense_in_deep=False)
    params = variables["params"]
    params["output"]["kernel"] = np.ones_like(params["output"]["kernel"])
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_normalization_reaches_the_pooled_vector():
    """In training its statistics are those of the batch, in float64."""
    model, variables, features = make("plain", hidden_dims=(), normalization="batch")
    params = variables["params"]
    logits, updates = model.apply(
        variables, features, train=True, mutable=["batch_stats"]
    )
    pooled = bi_interaction(params, features, "plain")
    mean, variance = pooled.mean(axis=0), pooled.var(axis=0)
    norm = params["pooling_norm"]
    pooled = (pooled - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"]
    np.testing.assert_allclose(
        logits,
        references.first_order(params["first_order"], features)
        + references.linear(params["output"], pooled)[:, 0],
        rtol=1e-4,
        atol=1e-4,
    )
    running = updates["batch_stats"]["pooling_norm"]
    np.testing.assert_allclose(running["mean"], 0.1 * mean, rtol=1e-4, atol=1e-6)


def test_dropout_of_the_pooled_vector_comes_before_the_dense_columns():
    """Dimensions of the pooled vector are dropped, dense columns never."""
    model, variables, features = make("full", hidden_dims=(), pooling_dropout_rate=0.5)
    params = variables["params"]
    output = params["output"]["kernel"]
    output[:3] = [[1.0], [10.0], [100.0]]
    pooled = bi_interaction(params, features, "full")
    kept = np.array(np.meshgrid(*[[0, 2]] * 3)).reshape(3, -1).T
    possible = (pooled[:, None, :] * kept[None]) @ output[:3, 0]
    rest = (
        references.first_order(
            params["first_order"], features, samples.slot_fields("full")
        )
        + features.dense @ output[3:, 0]
    )
    logits = model.apply(
        variables, features, train=True, rngs={"dropout": jax.random.key(3)}
    )
    distances = np.abs(np.asarray(logits - rest)[:, None] - possible)
    assert (distances.min(axis=1) < 1e-3).all()
    assert len(set(distances.argmin(axis=1).tolist())) > 1


def test_has_as_many_parameters_as_published_for_frappe():
    """The published run had no batch normalization."""
    model = models.make(
        "nfm",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        hidden_dims=(400, 400, 400),
    )
    assert samples.num_parameters(model) == 384880
