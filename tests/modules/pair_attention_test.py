"""Attention weights and contributions of the pairs of fields."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import samples

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.modules import pair_attention
from afm_jax.ops import attention


def make(name, kind="full", **hyperparameters):
    features = samples.random_features(kind)
    settings = {"embedding_dim": 3, **samples.data_hyperparameters(kind)}
    model = models.make(name, **settings, **hyperparameters)
    return model, samples.random_variables(model, features), features


def without_pairs(model, variables, features):
    """The logits with the output weights of the pooled vector at zero."""
    params = variables["params"]
    output = jax.tree.map(jnp.zeros_like, params["output"])
    return model.apply({"params": params | {"output": output}}, features)


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_contributions_add_up_to_the_pair_term_of_afm(kind, pooling):
    model, variables, features = make("afm", kind, pooling=pooling)
    found = pair_attention.pair_attention(model, variables, features)
    np.testing.assert_allclose(
        found.contributions.sum(axis=1),
        model.apply(variables, features) - without_pairs(model, variables, features),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ["afm", "afm_deep"])
def test_weights_are_those_of_the_attention(name):
    model, variables, features = make(name, "plain")
    found = pair_attention.pair_attention(model, variables, features)
    pool = variables["params"]["attention"]
    vectors = jnp.asarray(variables["params"]["embedding"]["table"])[features.ids]
    expected = attention.attention_weights(
        vectors, pool["kernel"], pool["bias"], pool["query"]
    )
    np.testing.assert_allclose(found.weights, expected, rtol=1e-5)


def test_under_a_deep_part_they_are_the_slope_of_the_logit():
    """Scaling all pair products by 1 + e changes the logit by e times their sum."""
    model, variables, features = make("afm_deep", hidden_dims=(5,), pooling="mean")
    found = pair_attention.pair_attention(model, variables, features)
    step = 1e-3

    def logits(factor):
        params = copy.deepcopy(variables["params"])
        params["mlp"]["hidden_0"]["kernel"][:3] *= factor  # of the pooled vector
        return model.apply({"params": params}, features)

    slope = (logits(1 + step) - logits(1 - step)) / (2 * step)
    np.testing.assert_allclose(
        found.contributions.sum(axis=1), slope, rtol=1e-2, atol=1e-3
    )


def test_a_model_without_attention_is_refused():
    model, variables, features = make("fm")
    with pytest.raises(InputError, match="fm has no attention pooling"):
        pair_attention.pair_attention(model, variables, features)
