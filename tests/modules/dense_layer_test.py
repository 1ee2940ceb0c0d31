"""The dense layer is Flax's, with the project's products and start."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from afm_jax.modules import dense_layer

INPUTS = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)


@pytest.mark.parametrize("use_bias", [True, False])
def test_is_the_layer_of_flax(use_bias):
    ours = dense_layer.Dense(4, use_bias=use_bias, name="layer")
    theirs = nn.Dense(
        4,
        use_bias=use_bias,
        kernel_init=nn.initializers.xavier_normal(),
        name="layer",
    )
    found, variables = ours.init_with_output(jax.random.key(0), INPUTS)
    expected, same = theirs.init_with_output(jax.random.key(0), INPUTS)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    if use_bias:
        variables["params"]["bias"] += 1.0
        np.testing.assert_allclose(
            ours.apply(variables, INPUTS), expected + 1.0, rtol=1e-5
        )
