"""Products at the precision that is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops.matmul import matmul

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(6, 5)).astype(np.float32)
KERNEL = RNG.normal(size=(5, 4)).astype(np.float32)
WEIGHTS = RNG.normal(size=(6, 4)).astype(np.float32)


def rounded(array):
    return np.asarray(array.astype(jnp.bfloat16), np.float64)


def value_and_gradients(inputs, kernel, weights):
    def weighted(inputs, kernel):
        product = matmul(inputs, kernel)
        return (weights * product).sum(), product

    (_, product), gradients = jax.value_and_grad(weighted, (0, 1), has_aux=True)(
        inputs, kernel
    )
    return product, *gradients


def test_without_further_words_it_is_the_product():
    inputs, kernel, weights = (a.astype(np.float64) for a in (INPUTS, KERNEL, WEIGHTS))
    for found, expected in zip(
        value_and_gradients(INPUTS, KERNEL, WEIGHTS),
        (inputs @ kernel, weights @ kernel.T, inputs.T @ weights),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_bfloat16_rounds_operands_and_nothing_else():
    inputs, kernel, weights = map(rounded, (INPUTS, KERNEL, WEIGHTS))
    with jax.default_matmul_precision("bfloat16"):
        results = value_and_gradients(INPUTS, KERNEL, WEIGHTS)
    for found, expected in zip(
        results, (inputs @ kernel, weights @ kernel.T, inputs.T @ weights), strict=True
    ):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("precision", [None, "bfloat16"])
def test_further_axes_are_rows(precision):
    stacked = np.stack([INPUTS, 2 * INPUTS])
    with jax.default_matmul_precision(precision):
        product = matmul(INPUTS, KERNEL)
        np.testing.assert_allclose(
            matmul(stacked, KERNEL), np.stack([product, 2 * product]), rtol=1e-6
        )
