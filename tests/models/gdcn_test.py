import numpy as np
import pytest
import references
import samples

from afm_jax import models


def make(kind, **hyperparameters):
    """A small gdcn with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "gdcn",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "num_cross_layers": 2, "hidden_dims": (7, 4)}
        | hyperparameters,
    )
    variables = samples.random_variables(model, features, stddev=0.3)
    return model, variables["params"], features


def gated_cross(params, c0, c):
    kernel, bias, gate = (
        np.asarray(params[name], np.float64) for name in ("kernel", "bias", "gate")
    )
    return np.array(
        [
            a * (row @ kernel + bias) / (1 + np.exp(-(row @ gate))) + row
            for a, row in zip(c0, c, strict=True)
        ]
    )


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_equals_the_formula(kind, structure):
    model, params, features = make(kind, structure=structure)
    c0 = references.flat_inputs(
        params["embedding"]["table"], features, samples.slot_fields(kind)
    )
    crossed = gated_cross(params["cross_1"], c0, gated_cross(params["cross_0"], c0, c0))
    if structure == "parallel":
        hidden = references.mlp(params["mlp"], c0)
        hidden = np.concatenate([crossed, hidden], axis=1)
    else:
        hidden = references.mlp(params["mlp"], crossed)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], hidden)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_gates_of_zeros_leave_dcnv2_with_half_its_matrices(structure):
    model, params, features = make("full", structure=structure)
    half = {name: params[name] for name in ("embedding", "mlp", "output")}
    for name in ("cross_0", "cross_1"):
        params[name]["gate"] = np.zeros_like(params[name]["gate"])
        half[name] = {key: params[name][key] / 2 for key in ("kernel", "bias")}
    dcnv2 = models.make(
        "dcnv2",
        **samples.data_hyperparameters("full"),
        embedding_dim=3,
        structure=structure,
        num_cross_layers=2,
        hidden_dims=(7, 4),
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        dcnv2.apply({"params": half}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_has_a_gate_matrix_a_layer_more_than_dcnv2():
    sizes = {"vocab_size": samples.FRAPPE_VOCAB_SIZE, "embedding_dim": 10}
    assert (
        samples.num_parameters(models.make("gdcn", **sizes))
        == samples.num_parameters(models.make("dcnv2", **sizes)) + 3 * 100 * 100
    )
