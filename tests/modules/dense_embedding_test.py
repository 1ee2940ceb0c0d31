import jax
import numpy as np

from afm_jax.modules import dense_embedding


def test_each_column_scales_its_own_vector():
    dense = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    module = dense_embedding.DenseEmbedding(5, init_stddev=0.5)
    variables = module.init(jax.random.key(0), dense)
    kernel = np.asarray(variables["params"]["kernel"])
    assert kernel.shape == (3, 5)
    expected = [[d * u for d, u in zip(row, kernel, strict=True)] for row in dense]
    np.testing.assert_array_equal(module.apply(variables, dense), expected)


def test_no_columns_have_no_parameter_and_no_vector():
    dense = np.zeros((4, 0), np.float32)
    module = dense_embedding.DenseEmbedding(5)
    variables = module.init(jax.random.key(0), dense)
    assert not variables
    assert module.apply(variables, dense).shape == (4, 0, 5)


def test_the_kernel_starts_normal_with_init_stddev():
    dense = np.zeros((1, 100), np.float32)
    module = dense_embedding.DenseEmbedding(100, init_stddev=0.03)
    kernel = module.init(jax.random.key(0), dense)["params"]["kernel"]
    # The standard error of the deviation of 10,000 draws is 0.7%.
    np.testing.assert_allclose(kernel.std(), 0.03, rtol=0.03)
