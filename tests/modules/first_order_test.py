import jax
import numpy as np
import pytest
import references
import samples

from afm_jax.modules import first_order


@pytest.mark.parametrize(
    ("kind", "inputs", "names"),
    [
        ("plain", "all", {"bias", "table"}),
        ("plain", "fields", {"bias", "table"}),
        ("plain", "dense", {"bias"}),
        ("full", "all", {"bias", "table", "kernel"}),
        ("full", "fields", {"bias", "table"}),
        ("full", "dense", {"bias", "kernel"}),
    ],
)
def test_sums_its_inputs_only(kind, inputs, names):
    features = samples.random_features(kind)
    module = first_order.FirstOrder(**samples.data_hyperparameters(kind), inputs=inputs)
    variables = samples.random_variables(module, features)
    assert set(variables["params"]) == names
    logits = module.apply(variables, features)
    assert logits.shape == (6,)
    np.testing.assert_allclose(
        logits,
        references.first_order(
            variables["params"], features, samples.slot_fields(kind)
        ),
        rtol=1e-5,
        atol=1e-6,
    )


def test_starts_with_bias_zero_and_weights_of_the_given_deviation():
    """So the logits begin near the bias, however few the dense columns are."""
    features = samples.random_features("full")
    features = features._replace(dense=np.ones((len(features.ids), 400), np.float32))
    module = first_order.FirstOrder(50_000, samples.slot_fields("full"), "all", 0.02)
    params = module.init(jax.random.key(0), features)["params"]
    assert params["table"].shape == (50_000, 1)
    np.testing.assert_allclose(params["table"].std(), 0.02, rtol=0.02)
    np.testing.assert_array_equal(params["bias"], [0])
    np.testing.assert_allclose(params["kernel"].std(), 0.02, rtol=0.1)
