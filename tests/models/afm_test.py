import jax
import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples

from afm_jax import models

NUM_PAIRS = 6


def make(kind, **hyperparameters):
    """A small afm with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "afm",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "attention_dim": 5} | hyperparameters,
    )
    return model, samples.random_variables(model, features)["params"], features


def embed(params, features, kind):
    return references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_formula(kind):
    model, params, features = make(kind)
    pooled = references.attention_pooling(
        embed(params, features, kind), **params["attention"]
    )
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.first_order(
            params["first_order"], features, samples.slot_fields(kind)
        )
        + (pooled @ params["output"]["kernel"].astype(np.float64))[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_uniform_attention_and_projection_onto_ones_leave_fm_over_the_number_of_pairs():
    model, params, features = make("full")
    params["attention"]["query"] = np.zeros_like(params["attention"]["query"])
    params["output"]["kernel"] = np.ones_like(params["output"]["kernel"])
    first_order = references.first_order(
        params["first_order"], features, samples.slot_fields("full")
    )
    fm = models.make("fm", **samples.data_hyperparameters("full"), embedding_dim=3)
    fm_params = {name: params[name] for name in ("embedding", "first_order")}
    pair_term = fm.apply({"params": fm_params}, features) - first_order
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        first_order + pair_term / NUM_PAIRS,
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_projection_starts_with_as_many_signs_of_each_kind(k):
    model, _, features = make("plain", embedding_dim=k)
    kernel = samples.initial_variables(
        model, features, lambda variables: variables["params"]["output"]["kernel"]
    )
    assert kernel.shape == (k, 1)
    np.testing.assert_array_equal(np.abs(kernel), 1)
    assert float(kernel.sum()) == k % 2


def test_the_projection_can_start_xavier_normal():
    model, _, features = make("plain", embedding_dim=2000, projection="xavier")
    kernel = samples.initial_variables(
        model, features, lambda variables: variables["params"]["output"]["kernel"]
    )
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 2001), rtol=0.05)
    assert abs(kernel.mean()) < 0.003


def test_the_sum_over_pairs_starts_as_fm_if_the_projection_is_onto_ones():
    """Small tables make attention uniform. No first-order weights, which are larger."""
    model, _, features = make(
        "plain", pooling="sum", init_stddev=1e-3, projection="ones"
    )
    params = samples.initial_variables(model, features)["params"]
    fm = models.make("fm", **samples.data_hyperparameters("plain"), embedding_dim=3)
    shared = {name: params[name] for name in ("embedding", "first_order")}
    table = shared["first_order"]["table"]
    shared["first_order"]["table"] = params["first_order"]["table"] = 0 * table
    expected = fm.apply({"params": shared}, features)
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        expected,
        rtol=0,
        atol=1e-4 * np.abs(expected).max(),
    )


def test_attention_is_at_work():
    """Weights differ over the pairs, sum to 1, and change the logits."""
    model, params, features = make("full")
    logits, sown = model.apply({"params": params}, features, mutable=["intermediates"])
    (weights,) = sown["intermediates"]["attention"]["weights"]
    assert weights.shape == (len(logits), NUM_PAIRS)
    np.testing.assert_allclose(weights.sum(axis=1), np.ones(len(logits)), rtol=1e-5)
    assert (weights.std(axis=1) > 1e-3).all()

    params["attention"]["query"] = np.zeros_like(params["attention"]["query"])
    uniform = model.apply({"params": params}, features)
    assert (np.abs(logits - uniform) > 1e-4).all()


def test_attention_learns_from_the_initial_parameters():
    """No part of the attention network starts without gradient."""
    model, _, features = make("plain", init_stddev=1e-4)
    params = samples.initial_variables(model, features)["params"]

    def objective(params):
        return jnp.square(model.apply({"params": params}, features) - 1).sum()

    gradient = jax.jit(jax.grad(objective))(params)
    for leaf in jax.tree.leaves(gradient["attention"]):
        assert np.isfinite(leaf).all()
        assert (leaf != 0).any()


def test_has_as_many_parameters_as_published_for_frappe():
    model = models.make("afm", vocab_size=5389, embedding_dim=10, attention_dim=128)
    assert samples.num_parameters(model, num_fields=10) == 60826


def test_derivatives_of_the_default_attention_are_differences():
    """Forward mode and the Hessian, in float64, of all parameters of the network."""
    model, params, features = make("full")

    def loss(network):
        logits = model.apply({"params": {**params, "attention": network}}, features)
        return jnp.square(logits).sum()

    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, params)
        network, step = params["attention"], 1e-5
        direction = jax.tree.map(np.cos, network)
        ahead, behind = (
            jax.tree.map(
                lambda a, b, sign=sign: a + sign * step * b, network, direction
            )
            for sign in (1, -1)
        )
        _, slope = jax.jit(jax.jvp, static_argnums=0)(loss, (network,), (direction,))
        expected = (loss(ahead) - loss(behind)) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-6)
        gradient = jax.jit(jax.grad(loss))
        differences = jax.tree.map(
            lambda a, b: (a - b) / (2 * step), gradient(ahead), gradient(behind)
        )
        for name, rows in jax.jit(jax.hessian(loss))(network).items():
            found = sum(
                np.tensordot(rows[other], direction[other], direction[other].ndim)
                for other in network
            )
            np.testing.assert_allclose(found, differences[name], rtol=1e-5, atol=1e-6)
