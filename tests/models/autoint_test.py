import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small autoint with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "autoint",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "head_dims": (4, 3), "hidden_dims": (7, 4)}
        | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def field_vectors(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


def dense_vectors(params, features):
    """[B, D, k]."""
    if features.dense.shape[1] == 0:
        return np.zeros((len(features.dense), 0, 3))
    kernel = np.asarray(params["dense_embedding"]["kernel"], np.float64)
    return np.array(
        [[d * u for d, u in zip(row, kernel, strict=True)] for row in features.dense]
    )


def interacting_layer(params, fields):
    """[B, M, H t] of fields [B, M, d]."""
    query, key, value, residual = (
        np.asarray(params[name], np.float64)
        for name in ("query", "key", "value", "residual")
    )
    result = []
    for row in fields:
        new = []
        for e in row:
            heads = []
            for h in range(query.shape[1]):
                scores = np.array([(e @ query[:, h]) @ (n @ key[:, h]) for n in row])
                alpha = np.exp(scores - scores.max())
                alpha /= alpha.sum()
                values = [n @ value[:, h] for n in row]
                heads.append(sum(a * v for a, v in zip(alpha, values, strict=True)))
            new.append(np.maximum(np.concatenate(heads) + e @ residual, 0))
        result.append(new)
    return np.array(result)


def output(params, parts):
    inputs = np.concatenate(parts, axis=1)
    kernel, bias = (
        np.asarray(params["output"][name], np.float64) for name in ("kernel", "bias")
    )
    return inputs @ kernel[:, 0] + bias


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("num_heads", [1, 3])
@pytest.mark.parametrize("hidden_dims", [(7, 4), ()])
def test_equals_the_formula(kind, num_heads, hidden_dims):
    model, variables, features = make(
        kind, num_heads=num_heads, hidden_dims=hidden_dims
    )
    params = variables["params"]
    vectors = field_vectors(params, features, kind)
    fields = np.concatenate([vectors, dense_vectors(params, features)], axis=1)
    for i in range(2):
        fields = interacting_layer(params[f"interacting_{i}"], fields)
    parts = [fields.reshape(len(fields), -1)]
    if hidden_dims:
        flat = vectors.reshape(len(vectors), -1)
        inputs = np.concatenate([flat, features.dense], axis=1)
        parts.append(references.mlp(params["mlp"], inputs))
    np.testing.assert_allclose(
        model.apply(variables, features),
        output(params, parts),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_without_layers_it_is_linear_in_the_vectors(kind):
    model, variables, features = make(kind, head_dims=(), hidden_dims=())
    params = variables["params"]
    fields = np.concatenate(
        [field_vectors(params, features, kind), dense_vectors(params, features)], axis=1
    )
    np.testing.assert_allclose(
        model.apply(variables, features),
        output(params, [fields.reshape(len(fields), -1)]),
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_values_no_field_sees_another():
    """So what changing two fields does is the sum of what changing each does."""
    model, variables, features = make("plain", hidden_dims=())
    for i in range(2):
        layer = variables["params"][f"interacting_{i}"]
        layer["value"] = np.zeros_like(layer["value"])
    other = samples.random_features("plain", seed=1)

    def logits(*changed):
        ids = features.ids.copy()
        ids[:, changed] = other.ids[:, changed]
        return model.apply(variables, features._replace(ids=ids))

    np.testing.assert_allclose(
        logits(0, 2) - logits(0), logits(2) - logits(), rtol=1e-4, atol=1e-4
    )
    model, variables, features = make("plain", hidden_dims=())
    assert (np.abs(logits(0, 2) - logits(0) - logits(2) + logits()) > 1e-3).any()


def test_weights_are_shown_and_vary():
    model, variables, features = make("full")
    _, shown = model.apply(variables, features, mutable=["intermediates"])
    weights = shown["intermediates"]["interacting_0"]["weights"][0]
    assert weights.shape == (6, 2, 7, 7)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    assert (weights.std(axis=-1) > 1e-4).all()


def test_number_of_parameters_of_the_default_form():
    """1,000 ids, 10 fields: all by hand."""
    model = models.make("autoint", vocab_size=1000)
    assert samples.num_parameters(model) == (
        1000 * 16
        + 4 * 16 * 64
        + 2 * 4 * 64 * 64
        + (160 + 1) * 400
        + (400 + 1) * 400
        + (10 * 64 + 400 + 1)
    )


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalization_is_of_the_hidden_layers(normalization):
    _, variables, _ = make("full", normalization=normalization)
    shapes = jax.tree.map(np.shape, variables["params"]["mlp"])
    assert shapes["norm_1"] == {"scale": (4,), "bias": (4,)}
