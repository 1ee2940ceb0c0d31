import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small afn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "afn",
        **samples.data_hyperparameters(kind),
        **{
            "embedding_dim": 3,
            "logarithmic_dim": 5,
            "hidden_dims": (7, 4),
            "deep_hidden_dims": (6, 2),
            "normalization": None,
        }
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


def power_products(params, v):
    """[B, N, k] of vectors [B, F, k]."""
    exponents = np.asarray(params["exponents"], np.float64)
    bias = np.asarray(params["bias"], np.float64)
    result = np.zeros((len(v), len(bias), v.shape[2]))
    for b in range(len(v)):
        for n in range(len(bias)):
            result[b, n] = np.exp(bias[n])
            for f in range(v.shape[1]):
                result[b, n] *= np.maximum(np.abs(v[b, f]), 1e-4) ** exponents[f, n]
    return result


def normalized(inputs, scale, bias, axes):
    """Batch normalization over the axes, by the statistics of the inputs."""
    mean = inputs.mean(axis=axes, keepdims=True)
    variance = ((inputs - mean) ** 2).mean(axis=axes, keepdims=True)
    return (inputs - mean) / np.sqrt(variance + 1e-5) * scale + bias


def output(params, parts):
    inputs = np.concatenate(parts, axis=1)
    kernel, bias = (
        np.asarray(params["output"][name], np.float64) for name in ("kernel", "bias")
    )
    return inputs @ kernel[:, 0] + bias


def flat(vectors, features):
    return np.concatenate([vectors.reshape(len(vectors), -1), features.dense], axis=1)


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("deep_hidden_dims", [(6, 2), ()])
def test_equals_the_formula(kind, deep_hidden_dims):
    model, variables, features = make(kind, deep_hidden_dims=deep_hidden_dims)
    params = variables["params"]
    vectors = field_vectors(params, features, kind)
    assert vectors.shape[2] == (6 if deep_hidden_dims else 3)
    crossed = power_products(params["logarithmic"], vectors[:, :, :3])
    parts = [references.mlp(params["mlp"], flat(crossed, features))]
    if deep_hidden_dims:
        inputs = flat(vectors[:, :, 3:], features)
        parts.append(references.mlp(params["deep_mlp"], inputs))
    np.testing.assert_allclose(
        model.apply(variables, features), output(params, parts), rtol=1e-4, atol=1e-4
    )


def test_training_normalizes_logarithms_and_products_by_the_batch():
    """Per field and per neuron, over the rows and the k dimensions."""
    model, variables, features = make(
        "plain", hidden_dims=(), deep_hidden_dims=(), normalization="batch"
    )
    params = variables["params"]
    layer = params["logarithmic"]
    logarithms = np.log(
        np.maximum(np.abs(field_vectors(params, features, "plain")), 1e-4)
    )
    logarithms = normalized(
        logarithms,
        layer["log_norm"]["scale"][:, None],
        layer["log_norm"]["bias"][:, None],
        (0, 2),
    )
    crossed = power_products(layer, np.exp(logarithms))
    crossed = normalized(
        crossed,
        layer["exp_norm"]["scale"][:, None],
        layer["exp_norm"]["bias"][:, None],
        (0, 2),
    )
    logits, updates = model.apply(
        variables, features, train=True, mutable=["batch_stats"]
    )
    np.testing.assert_allclose(
        logits, output(params, [flat(crossed, features)]), rtol=1e-3, atol=1e-4
    )
    shapes = jax.tree.map(np.shape, updates["batch_stats"]["logarithmic"])
    assert shapes == {
        "log_norm": {"mean": (4,), "var": (4,)},
        "exp_norm": {"mean": (5,), "var": (5,)},
    }


def test_exponents_of_pairs_give_fm_without_its_first_order_part():
    """Of positive vectors, where each neuron multiplies one pair of fields."""
    model, variables, features = make(
        "plain", logarithmic_dim=6, hidden_dims=(), deep_hidden_dims=()
    )
    params = jax.tree.map(np.zeros_like, variables["params"])
    params["embedding"]["table"] = np.abs(variables["params"]["embedding"]["table"])
    for n, (i, j) in enumerate(references.pairs(4)):
        params["logarithmic"]["exponents"][[i, j], n] = 1
    params["output"]["kernel"] += 1
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.fm_pair_term(field_vectors(params, features, "plain")),
        rtol=1e-4,
    )


@pytest.mark.parametrize("half", [slice(0, 3), slice(3, 6)])
def test_each_half_of_the_table_feeds_its_part(half):
    model, variables, features = make("plain")
    params = variables["params"]
    # The output sees one part only.
    kernel = params["output"]["kernel"]
    seen = slice(0, 4) if half.start == 0 else slice(4, 6)
    kernel[:] = np.where(np.isin(np.arange(6), np.arange(6)[seen])[:, None], kernel, 0)

    def total(table):
        parameters = params | {"embedding": {"table": table}}
        return model.apply({"params": parameters}, features).sum()

    gradient = np.array(jax.jit(jax.grad(total))(params["embedding"]["table"]))
    assert (gradient[:, half] != 0).any()
    gradient[:, half] = 0
    assert not gradient.any()


def test_number_of_parameters_of_the_default_form():
    """1,000 ids, 10 fields: all by hand."""
    model = models.make("afn", vocab_size=1000)
    hidden = 2 * 401 * 400 + 3 * 2 * 400
    assert samples.num_parameters(model) == (
        1000 * 32
        + (10 + 1) * 600
        + 2 * 10
        + 2 * 600
        + (600 * 16 + 1) * 400
        + hidden
        + (160 + 1) * 400
        + hidden
        + 801
    )
