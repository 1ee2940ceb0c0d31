import re

import jax
import numpy as np
import pytest
from flax import linen as nn

from afm_jax import errors, models
from afm_jax.features import Features
from afm_jax.modules import norms


class Normalize(nn.Module):
    """`norms.normalize` in a module that owns the scale and the bias."""

    normalization: str | None

    @nn.compact
    def __call__(self, inputs):
        return norms.normalize(inputs, self.normalization, train=True, name="norm")


def apply(normalization, inputs):
    module = Normalize(normalization)
    outputs, _ = module.init_with_output(jax.random.key(0), inputs)
    return outputs


@pytest.mark.parametrize(("normalization", "axis"), [("batch", 0), ("layer", 1)])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_inputs_get_mean_0_and_variance_1_however_far_they_lie(
    normalization, axis, mean
):
    inputs = np.random.default_rng(0).normal(mean, 2.0, (64, 40)).astype(np.float32)
    outputs = np.asarray(apply(normalization, inputs))
    np.testing.assert_allclose(outputs.mean(axis), 0.0, atol=2e-3)
    np.testing.assert_allclose(outputs.std(axis), 1.0, rtol=1e-4)


def test_none_leaves_the_inputs():
    inputs = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(apply(None, inputs), inputs)


@pytest.mark.parametrize(
    ("name", "options", "where"),
    [
        ("dnn", {"hidden_dims": (4, 1), "normalization": "layer"}, "norm_1"),
        ("masknet", {"embedding_dim": 1}, "embedding_norm"),
        ("masknet", {"block_dims": (4, 1)}, "norm"),
        ("eulernet", {"embedding_dim": 1, "normalization": "layer"}, "real_norm"),
    ],
)
def test_a_layer_of_one_number_is_not_normalized(name, options, where):
    model = models.make(name, vocab_size=9, **options)
    features = Features(np.zeros((2, 3), np.int32), None, np.zeros((2, 0), np.float32))
    message = f"Layer normalization '{where}' is over one number, which it makes a constant; give it a wider layer."
    with pytest.raises(errors.InputError, match=f"^{re.escape(message)}"):
        jax.eval_shape(model.init, jax.random.key(0), features)
