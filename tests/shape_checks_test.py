import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shape_checks
from jaxtyping import Float, TypeCheckError

from afm_jax.features import Array
from afm_jax.modules import output
from afm_jax.ops import bilinear_fusion, interactions


def test_a_result_of_another_shape_is_refused():
    @shape_checks.checked
    def pooled(embeddings: Float[Array, "B F k"]) -> Float[jax.Array, "B k"]:
        return jnp.asarray(embeddings).sum(axis=2)

    with pytest.raises(TypeCheckError, match="return value"):
        pooled(np.ones((2, 3, 4), np.float32))


def test_arguments_that_do_not_fit_each_other_are_refused():
    shape_checks.install()
    whole = np.ones((2, 3, 4), np.int32)
    with pytest.raises(TypeCheckError, match="parameters"):
        interactions.bi_interaction(whole)
    with pytest.raises(TypeCheckError, match="parameters"):
        jax.eval_shape(interactions.bi_interaction, whole)


def test_the_calls_of_modules_are_checked():
    shape_checks.install()
    with pytest.raises(TypeCheckError, match="parameters"):
        output.Output().init(jax.random.key(0), np.ones((2, 3), np.int32))


def test_an_error_of_the_function_itself_comes_first():
    shape_checks.install()
    rows = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"^a kernel of shape .* fuses vectors of"):
        bilinear_fusion.bilinear_fusion(rows, rows, np.ones((1, 3, 2), np.float32))
