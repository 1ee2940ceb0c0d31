import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import errors, models


def make(kind, **hyperparameters):
    """A small xdeepfm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "xdeepfm",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "cin_dims": (5, 2), "hidden_dims": (7, 4)}
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


def compressed_interactions(params, vectors, num_layers):
    """[B, all widths]: the sums over k of every vector of every layer."""
    rows = []
    for fields in vectors:
        layer, row = fields, []
        for t in range(num_layers):
            kernel = np.asarray(params[f"cin_{t}"], np.float64)
            layer = [
                sum(
                    kernel[f, h, m] * layer[h] * fields[f]
                    for f in range(len(fields))
                    for h in range(len(layer))
                )
                for m in range(kernel.shape[2])
            ]
            row += [vector.sum() for vector in layer]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize(
    ("cin_dims", "hidden_dims"), [((5, 2), (7, 4)), ((3,), ()), ((), (7, 4))]
)
def test_equals_the_formula(kind, cin_dims, hidden_dims):
    model, variables, features = make(kind, cin_dims=cin_dims, hidden_dims=hidden_dims)
    params = variables["params"]
    vectors = field_vectors(params, features, kind)
    parts = []
    if cin_dims:
        parts.append(compressed_interactions(params, vectors, len(cin_dims)))
    if hidden_dims:
        flat = vectors.reshape(len(vectors), -1)
        inputs = np.concatenate([flat, features.dense], axis=1)
        parts.append(references.mlp(params["mlp"], inputs))
    kernel = params["output"]["kernel"].astype(np.float64)
    np.testing.assert_allclose(
        model.apply(variables, features),
        references.first_order(
            params["first_order"], features, samples.slot_fields(kind)
        )
        + (np.concatenate(parts, axis=1) @ kernel)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_one_layer_of_half_the_pairs_is_fm(kind):
    model, variables, features = make(kind, cin_dims=(1,), hidden_dims=())
    params = variables["params"]
    # Weight 1 for f < h, 0 for the squares and for the pairs the other way round.
    params["cin_0"] = np.triu(np.ones((4, 4), np.float32), k=1)[:, :, None]
    params["output"]["kernel"] = np.ones((1, 1), np.float32)
    fm = models.make("fm", **samples.data_hyperparameters(kind), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    np.testing.assert_allclose(
        model.apply(variables, features),
        fm.apply({"params": fm_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_layers_rise_by_one_order_in_the_embeddings():
    model, variables, features = make("plain", cin_dims=(3, 2), hidden_dims=())
    params = jax.tree.map(np.zeros_like, variables["params"])
    params = variables["params"] | {"first_order": params["first_order"]}
    kernel = params["output"]["kernel"]

    def logits(layer, scale):
        own = np.zeros_like(kernel)
        own[layer] = kernel[layer]
        return model.apply(
            {
                "params": params
                | {
                    "output": {"kernel": own},
                    "embedding": {"table": params["embedding"]["table"] * scale},
                }
            },
            features,
        )

    first, second = slice(0, 3), slice(3, 5)
    np.testing.assert_allclose(logits(first, 2), 4 * logits(first, 1), rtol=1e-5)
    np.testing.assert_allclose(logits(second, 2), 8 * logits(second, 1), rtol=1e-5)


def test_number_of_parameters_of_the_default_form():
    """1,000 ids, 10 fields: all by hand."""
    model = models.make("xdeepfm", vocab_size=1000)
    assert samples.num_parameters(model) == (
        1
        + 1000 * (1 + 16)
        + 200 * (10 * 10 + 2 * 10 * 200)
        + (160 + 1) * 400
        + (400 + 1) * 400
        + 3 * 200
        + 400
    )


def test_has_as_many_parameters_as_published_for_frappe():
    """Less a bias of each of 64 compressed interactions and one of two of the output."""
    model = models.make(
        "xdeepfm",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        cin_dims=(64,),
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 429809 - 64 - 1


def test_the_first_order_part_alone_is_refused():
    with pytest.raises(errors.InputError, match="xdeepfm needs cin_dims, hidden_dims"):
        make("plain", cin_dims=(), hidden_dims=())
