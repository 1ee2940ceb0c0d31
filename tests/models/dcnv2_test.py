import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small dcnv2 with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "dcnv2",
        **samples.data_hyperparameters(kind),
        **{
            "embedding_dim": 3,
            "num_cross_layers": 2,
            "num_experts": 3,
            "hidden_dims": (7, 4),
        }
        | hyperparameters,
    )
    variables = samples.random_variables(model, features, stddev=0.3)
    return model, variables["params"], features


def float64(params):
    return {name: np.asarray(leaf, np.float64) for name, leaf in params.items()}


def matrix_cross(params, x0, x):
    p = float64(params)
    return np.array(
        [
            a * (row @ p["kernel"] + p["bias"]) + row
            for a, row in zip(x0, x, strict=True)
        ]
    )


def mixture_cross(params, x0, x):
    p = float64(params)
    result = []
    for a, row in zip(x0, x, strict=True):
        gates = np.exp(row @ p["gate"])
        experts = [
            a * (np.tanh(np.tanh(row @ down) @ core) @ up + p["bias"])
            for down, core, up in zip(p["down"], p["core"], p["up"], strict=True)
        ]
        result.append(gates / gates.sum() @ np.array(experts) + row)
    return np.array(result)


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("structure", ["parallel", "stacked"])
@pytest.mark.parametrize("low_rank_dim", [None, 2])
def test_equals_the_formula(kind, structure, low_rank_dim):
    model, params, features = make(kind, structure=structure, low_rank_dim=low_rank_dim)
    x0 = references.flat_inputs(
        params["embedding"]["table"], features, samples.slot_fields(kind)
    )
    layer = matrix_cross if low_rank_dim is None else mixture_cross
    crossed = layer(params["cross_1"], x0, layer(params["cross_0"], x0, x0))
    if structure == "parallel":
        hidden = references.mlp(params["mlp"], x0)
        hidden = np.concatenate([crossed, hidden], axis=1)
    else:
        hidden = references.mlp(params["mlp"], crossed)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_stacked_without_cross_layers_it_is_dnn():
    model, params, features = make("full", structure="stacked", num_cross_layers=0)
    dnn = models.make(
        "dnn",
        **samples.data_hyperparameters("full"),
        embedding_dim=3,
        hidden_dims=(7, 4),
    )
    np.testing.assert_array_equal(
        model.apply({"params": params}, features),
        dnn.apply({"params": params}, features),
    )


def test_matrices_of_equal_columns_leave_dcn():
    """w_l = any column of W_l^T, without biases."""
    model, params, features = make("full")
    dcn_params = {name: params[name] for name in ("embedding", "mlp", "output")}
    weights = []
    for name in ("cross_0", "cross_1"):
        weight = params[name]["kernel"][:, :1]
        no_bias = np.zeros_like(params[name]["bias"])
        kernel = np.repeat(weight, len(weight), axis=1)
        params[name] = {"kernel": kernel, "bias": no_bias}
        weights.append(weight[:, 0])
    dcn_params["cross"] = {
        "kernel": np.stack(weights),
        "bias": np.zeros((2, len(weight))),
    }
    dcn = models.make(
        "dcn",
        **samples.data_hyperparameters("full"),
        embedding_dim=3,
        num_cross_layers=2,
        hidden_dims=(7, 4),
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        dcn.apply({"params": dcn_params}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_low_rank_experts_replace_the_matrices():
    _, params, _ = make("plain", low_rank_dim=2, num_experts=5)
    assert {name: leaf.shape for name, leaf in params["cross_0"].items()} == {
        "gate": (12, 5),
        "down": (5, 12, 2),
        "core": (5, 2, 2),
        "up": (5, 2, 12),
        "bias": (12,),
    }


def test_has_as_many_parameters_as_published_for_frappe():
    """The published run was parallel with four full cross layers."""
    model = models.make(
        "dcnv2",
        vocab_size=samples.FRAPPE_VOCAB_SIZE,
        embedding_dim=10,
        structure="parallel",
        num_cross_layers=4,
        hidden_dims=(400, 400, 400),
        normalization="batch",
    )
    assert samples.num_parameters(model) == 458391
