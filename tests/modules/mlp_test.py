import jax
import numpy as np
import pytest
import references

from afm_jax.modules import mlp

INPUTS = np.random.default_rng(0).normal(2.0, 3.0, (64, 5)).astype(np.float32)


def randomized(variables):
    rng = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: (
            rng.uniform(0.2, 1.2, leaf.shape).astype(np.float32)
            * rng.choice([-1, 1], leaf.shape).astype(np.float32)
        ),
        variables,
    )


def test_equals_the_loop_over_layers():
    module = mlp.MLP((4, 7, 3))
    params = randomized(module.init(jax.random.key(0), INPUTS)["params"])
    assert list(params) == ["hidden_0", "hidden_1", "hidden_2"]
    np.testing.assert_allclose(
        module.apply({"params": params}, INPUTS),
        references.mlp(params, INPUTS.astype(np.float64)),
        rtol=1e-5,
        atol=1e-5,
    )


def test_no_hidden_layer_is_the_identity():
    module = mlp.MLP(())
    variables = module.init(jax.random.key(0), INPUTS)
    assert not variables
    np.testing.assert_array_equal(module.apply(variables, INPUTS), INPUTS)


def test_starts_xavier_normal_with_zero_bias():
    inputs = np.zeros((1, 300), np.float32)
    params = mlp.MLP((500,)).init(jax.random.key(0), inputs)["params"]["hidden_0"]
    np.testing.assert_allclose(params["kernel"].std(), np.sqrt(2 / 800), rtol=0.01)
    np.testing.assert_array_equal(params["bias"], np.zeros(500))


def test_layer_normalization_stands_between_dense_and_relu():
    module = mlp.MLP((4,), normalization="layer")
    params = randomized(module.init(jax.random.key(0), INPUTS)["params"])
    assert set(params) == {"hidden_0", "norm_0"}
    hidden = INPUTS @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"]
    hidden -= hidden.mean(axis=1, keepdims=True)
    hidden /= np.sqrt((hidden**2).mean(axis=1, keepdims=True) + 1e-5)
    hidden = hidden * params["norm_0"]["scale"] + params["norm_0"]["bias"]
    np.testing.assert_allclose(
        module.apply({"params": params}, INPUTS),
        np.maximum(hidden, 0),
        rtol=1e-4,
        atol=1e-4,
    )


def test_batch_normalization_uses_the_batch_in_training_and_running_statistics_after():
    module = mlp.MLP((4,), normalization="batch")
    variables = module.init(jax.random.key(0), INPUTS)
    params = randomized(variables["params"])
    stats = variables["batch_stats"]
    before = INPUTS @ params["hidden_0"]["kernel"] + params["hidden_0"]["bias"]
    mean, variance = before.mean(axis=0), before.var(axis=0)

    def normalized(mean, variance):
        hidden = (before - mean) / np.sqrt(variance + 1e-5)
        hidden = hidden * params["norm_0"]["scale"] + params["norm_0"]["bias"]
        return np.maximum(hidden, 0)

    trained, updates = module.apply(
        {"params": params, "batch_stats": stats},
        INPUTS,
        train=True,
        mutable=["batch_stats"],
    )
    np.testing.assert_allclose(trained, normalized(mean, variance), atol=1e-4)
    running = updates["batch_stats"]["norm_0"]
    np.testing.assert_allclose(running["mean"], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * variance, rtol=1e-4)

    evaluated = module.apply({"params": params, **updates}, INPUTS)
    np.testing.assert_allclose(
        evaluated,
        normalized(0.1 * mean, 0.9 + 0.1 * variance),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_drops_outputs_and_scales_up_the_rest(rate):
    module = mlp.MLP((1000,), dropout_rate=rate)
    variables = module.init(jax.random.key(0), INPUTS)
    plain = module.apply(variables, INPUTS)
    dropped = module.apply(
        variables, INPUTS, train=True, rngs={"dropout": jax.random.key(1)}
    )
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], plain[kept] / (1 - rate), rtol=1e-5)
    assert abs(kept[plain > 0].mean() - (1 - rate)) < 0.02


@pytest.mark.parametrize("dropout_after", ["every_layer", "last_layer"])
def test_dropout_follows_every_layer_or_the_last_alone(dropout_after):
    """After the last alone, what is left is the value without dropout, scaled up."""
    module = mlp.MLP((6, 400), dropout_rate=0.5, dropout_after=dropout_after)
    inputs = np.tile(INPUTS[:1], (64, 1))
    variables = randomized(module.init(jax.random.key(0), inputs))
    out = module.apply(
        variables, inputs, train=True, rngs={"dropout": jax.random.key(1)}
    )
    assert ((out == 0).sum(axis=1) > 100).all()
    plain = module.apply(variables, inputs)
    whole = np.isclose(out, 2 * plain, rtol=1e-5) | (out == 0)
    assert whole.all() == (dropout_after == "last_layer")
