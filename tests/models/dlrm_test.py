import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import errors, models
from afm_jax.features import Features


def make(kind, **hyperparameters):
    """A small dlrm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "dlrm",
        **samples.data_hyperparameters(kind),
        **{
            "embedding_dim": 3,
            "bottom_hidden_dims": (6, 5),
            "top_hidden_dims": (7, 4),
        }
        | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


def embed(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


def inner_products(vectors):
    return np.array(
        [[row[i] @ row[j] for i, j in references.pairs(len(row))] for row in vectors]
    )


def test_without_dense_columns_the_top_mlp_sees_the_products_of_the_fields():
    model, params, features = make("plain")
    assert set(params) == {"embedding", "top_mlp", "output"}
    hidden = references.mlp(
        params["top_mlp"], inner_products(embed(params, features, "plain"))
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_dense_columns_make_one_more_vector_which_the_top_mlp_sees_as_well():
    model, params, features = make("full")
    dense_vector = references.mlp(
        params["bottom_mlp"], features.dense.astype(np.float64)
    )
    assert dense_vector.shape == (6, 3)
    vectors = np.concatenate(
        [dense_vector[:, None], embed(params, features, "full")], axis=1
    )
    inputs = np.concatenate([dense_vector, inner_products(vectors)], axis=1)
    hidden = references.mlp(params["top_mlp"], inputs)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_a_top_mlp_and_with_an_output_of_ones_it_is_the_pair_term_of_fm():
    model, params, features = make("plain", top_hidden_dims=())
    params["output"] = {
        "kernel": np.ones_like(params["output"]["kernel"]),
        "bias": np.zeros_like(params["output"]["bias"]),
    }
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.fm_pair_term(embed(params, features, "plain")),
        rtol=1e-5,
        atol=1e-5,
    )


def test_one_field_makes_a_pair_with_the_dense_columns_only():
    model = models.make("dlrm", vocab_size=5)
    ids = np.array([[1], [4]], np.int32)
    with_dense = Features(ids, None, np.ones((2, 3), np.float32))
    shapes = jax.eval_shape(model.init, jax.random.key(0), with_dense)["params"]
    assert shapes["top_mlp"]["hidden_0"]["kernel"].shape == (16 + 1, 512)
    with pytest.raises(errors.InputError, match="need 2 fields or more, found 1"):
        model.init(jax.random.key(0), Features(ids, None, np.zeros((2, 0), np.float32)))


def test_has_as_many_parameters_as_counted_by_hand():
    """Frappe with the authors' widths; the published Frappe run is a DNN, see dnn."""
    model = models.make("dlrm", vocab_size=samples.FRAPPE_VOCAB_SIZE)
    table = samples.FRAPPE_VOCAB_SIZE * 16
    top = 45 * 512 + 512 + 512 * 256 + 256
    assert samples.num_parameters(model) == table + top + 256 + 1
