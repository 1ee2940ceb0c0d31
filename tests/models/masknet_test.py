import numpy as np
import pytest
import references
import samples

from afm_jax import errors, models


def make(kind, **hyperparameters):
    """A small masknet with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "masknet",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "block_dims": (8, 6), "hidden_dims": (7, 4)}
        | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def dense(params, x):
    return x @ np.float64(params["kernel"]) + np.float64(params.get("bias", 0))


def layer_norm(x, scale, bias):
    centred = x - x.mean()
    normalized = centred / np.sqrt((centred**2).mean() + 1e-5)
    return np.float64(scale) * normalized + np.float64(bias)


def mask_block(params, instance, inputs):
    """The output of a block for one row."""
    mask = dense(
        params["projection"], np.maximum(dense(params["aggregation"], instance), 0)
    )
    hidden = dense(params["hidden"], mask * inputs)
    return np.maximum(layer_norm(hidden, **params["norm"]), 0)


def embeddings(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("blocks", ["serial", "parallel"])
@pytest.mark.parametrize("hidden_dims", [(), (7, 4)])
def test_equals_the_formula(kind, blocks, hidden_dims):
    model, variables, features = make(kind, blocks=blocks, hidden_dims=hidden_dims)
    params = variables["params"]
    norm = params["embedding_norm"]
    merged = []
    for row, columns in zip(
        embeddings(params, features, kind), np.float64(features.dense), strict=True
    ):
        instance = np.concatenate([*row, columns])
        normalized = [
            layer_norm(vector, norm["scale"][i], norm["bias"][i])
            for i, vector in enumerate(row)
        ]
        first_inputs = np.concatenate([*normalized, columns])
        first = mask_block(params["block_0"], instance, first_inputs)
        second_inputs = first if blocks == "serial" else first_inputs
        second = mask_block(params["block_1"], instance, second_inputs)
        merged.append(second if blocks == "serial" else np.concatenate([first, second]))
    hidden = references.mlp(params.get("mlp", {}), np.array(merged))
    np.testing.assert_allclose(
        model.apply(variables, features),
        dense(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_one_parallel_block_is_one_serial_block():
    serial, variables, features = make("full", block_dims=(8,))
    parallel = serial.clone(blocks="parallel")
    np.testing.assert_array_equal(
        serial.apply(variables, features), parallel.apply(variables, features)
    )


def test_masks_of_one_leave_a_network_of_normalized_layers():
    model, variables, features = make("plain", hidden_dims=())
    params = variables["params"]
    for name in ("block_0", "block_1"):
        projection = params[name]["projection"]
        projection["kernel"] = np.zeros_like(projection["kernel"])
        projection["bias"] = np.ones_like(projection["bias"])
    norm = params["embedding_norm"]
    expected = []
    for row in embeddings(params, features, "plain"):
        hidden = np.concatenate(
            [
                layer_norm(vector, norm["scale"][i], norm["bias"][i])
                for i, vector in enumerate(row)
            ]
        )
        for name in ("block_0", "block_1"):
            hidden = dense(params[name]["hidden"], hidden)
            hidden = np.maximum(layer_norm(hidden, **params[name]["norm"]), 0)
        expected.append(dense(params["output"], hidden)[0])
    np.testing.assert_allclose(
        model.apply({"params": params}, features), expected, rtol=1e-5, atol=1e-5
    )


def num_block_parameters(instance, inputs, width):
    """Both layers of the mask with r = 2, W, and the scale and bias of its norm."""
    aggregated = 2 * inputs
    mask = (instance + 1) * aggregated + (aggregated + 1) * inputs
    return mask + inputs * width + 2 * width


@pytest.mark.parametrize("blocks", ["serial", "parallel"])
def test_has_as_many_parameters_as_the_formula_says(blocks):
    """Ten fields of k = 4."""
    model = models.make(
        "masknet",
        vocab_size=100,
        embedding_dim=4,
        blocks=blocks,
        block_dims=(8, 6),
        hidden_dims=(7,),
    )
    table, norm = 100 * 4, 2 * 40
    second_inputs, merged = {"serial": (8, 6), "parallel": (40, 8 + 6)}[blocks]
    block_0 = num_block_parameters(40, 40, 8)
    block_1 = num_block_parameters(40, second_inputs, 6)
    top = (merged + 1) * 7 + (7 + 1)
    assert samples.num_parameters(model) == table + norm + block_0 + block_1 + top


def test_no_block_is_refused():
    features = samples.random_features("plain")
    model, variables, _ = make("plain")
    with pytest.raises(errors.InputError, match=r"masknet's block_dims is \(\)"):
        model.clone(block_dims=()).apply(variables, features)


def test_a_normalization_of_no_mlp_is_refused():
    with pytest.raises(
        errors.InputError,
        match=r"^masknet's normalization is 'batch' and its hidden_dims is \(\), so there is nothing to normalize",
    ):
        make("plain", hidden_dims=(), normalization="batch")


def test_the_layer_norm_of_a_field_is_one_from_the_start():
    """At 1e-4 the variance of a vector would be far below the norm's epsilon."""
    features = samples.random_features("plain")
    model = models.make(
        "masknet", **samples.data_hyperparameters("plain"), block_dims=(8,)
    )
    variables = samples.initial_variables(model, features)
    _, found = model.apply(
        variables, features, capture_intermediates=True, mutable=["intermediates"]
    )
    normalized = found["intermediates"]["embedding_norm"]["__call__"][0]
    np.testing.assert_allclose(normalized.std(axis=-1), 1.0, atol=0.2)
