import functools

import jax
import numpy as np
import references
import samples

from afm_jax.modules import attention
from afm_jax.ops import interactions

EMBEDDINGS = np.random.default_rng(0).normal(size=(6, 5, 4)).astype(np.float32)


def test_equals_the_double_loop():
    module = attention.AttentionPooling(3)
    variables = samples.random_variables(module, EMBEDDINGS)
    params = variables["params"]
    assert set(params) == {"kernel", "bias", "query"}
    np.testing.assert_allclose(
        module.apply(variables, EMBEDDINGS),
        references.attention_pooling(EMBEDDINGS, **params),
        rtol=1e-5,
        atol=1e-5,
    )


def test_weights_are_sown_on_request():
    module = attention.AttentionPooling(3, dropout_rate=0.5)
    variables = samples.random_variables(module, EMBEDDINGS)
    assert set(variables) == {"params"}
    pooled, sown = module.apply(variables, EMBEDDINGS, mutable=["intermediates"])
    (weights,) = sown["intermediates"]["weights"]
    np.testing.assert_allclose(
        weights,
        references.attention_weights(EMBEDDINGS, **variables["params"]),
        rtol=1e-4,
        atol=1e-6,
    )
    np.testing.assert_array_equal(pooled, module.apply(variables, EMBEDDINGS))


def test_dropout_acts_in_training_only():
    module = attention.AttentionPooling(3, dropout_rate=0.5)
    variables = samples.random_variables(module, EMBEDDINGS)

    def pooled(seed):
        rngs = {"dropout": jax.random.key(seed)}
        return module.apply(variables, EMBEDDINGS, train=True, rngs=rngs)

    np.testing.assert_array_equal(pooled(1), pooled(1))
    assert (pooled(1) != pooled(2)).any()
    assert (pooled(1) != module.apply(variables, EMBEDDINGS)).any()


def test_starts_xavier_normal_with_zero_bias():
    embeddings = np.zeros((1, 2, 300), np.float32)
    params = attention.AttentionPooling(500).init(jax.random.key(0), embeddings)
    params = params["params"]
    np.testing.assert_allclose(params["kernel"].std(), np.sqrt(2 / 800), rtol=0.01)
    # 500 draws: standard error 3%.
    np.testing.assert_allclose(params["query"].std(), np.sqrt(2 / 501), rtol=0.1)
    np.testing.assert_array_equal(params["bias"], np.zeros(500))


def test_sum_is_mean_times_the_number_of_pairs():
    module = attention.AttentionPooling(3)
    variables = samples.random_variables(module, EMBEDDINGS)
    np.testing.assert_allclose(
        module.clone(pooling="sum").apply(variables, EMBEDDINGS),
        10 * module.apply(variables, EMBEDDINGS),
        rtol=1e-6,
    )


def test_uniform_weights_are_equal_and_have_no_network():
    module = attention.AttentionPooling(3, weights="uniform")
    assert module.init(jax.random.key(0), EMBEDDINGS) == {}
    pooled, sown = module.apply({}, EMBEDDINGS, mutable=["intermediates"])
    np.testing.assert_allclose(
        pooled, interactions.bi_interaction(EMBEDDINGS) / 10, rtol=1e-4, atol=1e-6
    )
    (weights,) = sown["intermediates"]["weights"]
    np.testing.assert_allclose(weights, np.full((6, 10), 0.1), rtol=1e-6)
    gradients = (
        jax.jit(jax.grad(lambda v, pool=pool: pool(v).sum()))(EMBEDDINGS)
        for pool in (
            functools.partial(module.apply, {}),
            lambda v: interactions.bi_interaction(v) / 10,
        )
    )
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-6)


def test_frozen_weights_are_those_of_the_network():
    module = attention.AttentionPooling(3)
    variables = samples.random_variables(module, EMBEDDINGS)
    network = {"frozen": variables["params"]}
    np.testing.assert_array_equal(
        module.clone(weights="frozen").apply(network, EMBEDDINGS),
        module.apply(variables, EMBEDDINGS),
    )


def test_the_frozen_network_is_drawn_as_a_learned_one_and_is_no_parameter():
    key = jax.random.key(3)
    learned = attention.AttentionPooling(3).init(key, EMBEDDINGS)
    frozen = attention.AttentionPooling(3, weights="frozen").init(key, EMBEDDINGS)
    jax.tree.map(np.testing.assert_array_equal, frozen, {"frozen": learned["params"]})
