import jax
import numpy as np
import pytest

from afm_jax.ops import exact

ARRAY = np.ones((2, 2), np.float32)


@pytest.mark.parametrize(
    "product",
    [exact.dot, lambda a, b: exact.einsum("ij,jk->ik", a, b)],
    ids=["dot", "einsum"],
)
def test_no_device_may_round_the_operands(product):
    text = jax.jit(product).lower(ARRAY, ARRAY).as_text()
    assert "precision = [HIGHEST, HIGHEST]" in text
    assert text.count("dot_general") == 1
