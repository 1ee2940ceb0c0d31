import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models

TYPES = ["all", "each", "interaction"]


def make(kind, **hyperparameters):
    """A small fibinet with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "fibinet",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "hidden_dims": (7, 4), "reduction_ratio": 2}
        | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def embeddings(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


def squeeze_excitation(params, vectors):
    squeeze, excitation = (np.float64(params[x]) for x in ("squeeze", "excitation"))
    result = []
    for row in vectors:
        means = np.array([vector.mean() for vector in row])
        weights = np.maximum(np.maximum(means @ squeeze, 0) @ excitation, 0)
        result.append([a * vector for a, vector in zip(weights, row, strict=True)])
    return np.array(result)


def bilinear(kernel, row, bilinear_type):
    """The flat bilinear interactions of the fields of one row."""
    numbers = []
    for pair, (i, j) in enumerate(references.pairs(len(row))):
        choice = {"all": (), "each": (i,), "interaction": (pair,)}[bilinear_type]
        numbers += list((row[i] @ np.float64(kernel[choice])) * row[j])
    return numbers


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("bilinear_type", TYPES)
def test_equals_the_formula(kind, bilinear_type):
    model, variables, features = make(kind, bilinear_type=bilinear_type)
    params = variables["params"]
    vectors = embeddings(params, features, kind)
    weighted = squeeze_excitation(params, vectors)
    # Some fields are at work, and some are shut off.
    assert 0 < (weighted != 0).mean() < 1
    inputs = [
        [
            *bilinear(params["bilinear_plain"], plain, bilinear_type),
            *bilinear(params["bilinear_weighted"], scaled, bilinear_type),
            *dense,
        ]
        for plain, scaled, dense in zip(vectors, weighted, features.dense, strict=True)
    ]
    hidden = references.mlp(params["mlp"], np.array(inputs, np.float64))
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(
            params["first_order"], features, samples.slot_fields(kind)
        )
        + (hidden @ np.float64(params["output"]["kernel"]))[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("bilinear_type", TYPES)
def test_shallow_identity_without_excitation_is_fm(bilinear_type):
    model, variables, features = make(
        "plain", hidden_dims=(), bilinear_type=bilinear_type
    )
    params = variables["params"]
    shape = params["bilinear_plain"].shape
    params["bilinear_plain"] = np.broadcast_to(np.eye(3, dtype=np.float32), shape)
    params["excitation"] = np.zeros_like(params["excitation"])
    params["output"]["kernel"] = np.ones_like(params["output"]["kernel"])
    fm = models.make("fm", **samples.data_hyperparameters("plain"), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("bilinear_type", "num_kernels"), [("all", 1), ("each", 9), ("interaction", 45)]
)
def test_has_as_many_parameters_as_the_formula_says(bilinear_type, num_kernels):
    """Ten fields of k = 4, r = 3: W_1 and W_2 of 10 x 3, 45 pairs in p and in q."""
    model = models.make(
        "fibinet",
        vocab_size=100,
        embedding_dim=4,
        bilinear_type=bilinear_type,
        hidden_dims=(7, 5),
    )
    tables = 1 + 100 + 100 * 4
    interactions = 2 * 10 * 3 + 2 * num_kernels * 4 * 4
    deep = (2 * 45 * 4 + 1) * 7 + (7 + 1) * 5 + 5
    assert samples.num_parameters(model) == tables + interactions + deep


@pytest.mark.parametrize(("ratio", "width"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_the_reduction_ratio_narrows_the_excitation(ratio, width):
    _, variables, _ = make("plain", reduction_ratio=ratio)
    shapes = jax.tree.map(np.shape, variables["params"])
    assert (shapes["squeeze"], shapes["excitation"]) == ((4, width), (width, 4))


@pytest.mark.parametrize("bilinear_type", TYPES)
def test_each_matrix_starts_xavier_normal_by_itself(bilinear_type):
    model, _, features = make("plain", bilinear_type=bilinear_type, embedding_dim=64)
    names = "bilinear_plain", "bilinear_weighted"
    params = samples.initial_variables(
        model,
        features,
        lambda variables: {name: variables["params"][name] for name in names},
    )
    for name in names:
        np.testing.assert_allclose(params[name].std(), (2 / 128) ** 0.5, rtol=0.05)
