import jax
import numpy as np
import pytest
import samples
from flax import linen as nn

from afm_jax.modules import output

INPUTS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)


@pytest.mark.parametrize("use_bias", [True, False])
def test_is_a_projection_and_a_bias(use_bias):
    module = output.Output(use_bias=use_bias)
    variables = samples.random_variables(module, INPUTS)
    params = variables["params"]
    assert set(params) == ({"kernel", "bias"} if use_bias else {"kernel"})
    expected = INPUTS.astype(np.float64) @ params["kernel"].astype(np.float64)
    np.testing.assert_allclose(
        module.apply(variables, INPUTS),
        expected[:, 0] + (params["bias"] if use_bias else 0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_starts_xavier_normal_with_zero_bias():
    params = output.Output().init(jax.random.key(0), np.zeros((1, 20_000), np.float32))
    kernel, bias = params["params"]["kernel"], params["params"]["bias"]
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / 20_001), rtol=0.03)
    np.testing.assert_array_equal(bias, [0])


def test_the_initialiser_can_be_another():
    module = output.Output(kernel_init=nn.initializers.ones)
    params = module.init(jax.random.key(0), INPUTS)["params"]
    np.testing.assert_array_equal(params["kernel"], np.ones((5, 1)))
