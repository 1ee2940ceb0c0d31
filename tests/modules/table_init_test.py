"""Tables large and small: their numbers, and what making them takes."""

import jax
import numpy as np
import pytest
import samples
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afm_jax.modules import table_init

LARGE = (1 << 19, 16)


def draw(key, shape=LARGE):
    return table_init.normal(0.1)(key, shape)


def compiled(**options):
    """The draw of a large table as users compile it."""
    return samples.optimized_jit(draw, **options).lower(jax.random.key(0)).compile()


@pytest.fixture(scope="module")
def large():
    return np.asarray(compiled()(jax.random.key(0)))


def test_small_tables_are_one_draw():
    key = jax.random.key(0)
    table = draw(key, (300, 4))
    np.testing.assert_array_equal(table, 0.1 * jax.random.normal(key, (300, 4)))


def test_columns_of_large_tables_are_normal_and_independent(large):
    np.testing.assert_allclose(large.std(axis=0), 0.1, rtol=0.01)
    np.testing.assert_allclose(large.mean(axis=0), 0, atol=1e-3)
    correlations = np.corrcoef(large.T)
    np.testing.assert_allclose(correlations, np.eye(16), atol=0.01)


def test_large_tables_take_little_besides_themselves():
    memory = compiled().memory_analysis()
    assert memory.temp_size_in_bytes < memory.output_size_in_bytes / 2


def test_each_device_draws_its_rows(large):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    split = compiled(out_shardings=NamedSharding(mesh, P("data", None)))
    memory = split.memory_analysis()
    assert memory.temp_size_in_bytes < large.nbytes / 4 / 2
    np.testing.assert_array_equal(split(jax.random.key(0)), large)
