"""How a table of vectors starts."""

from typing import Any

import jax
import jax.numpy as jnp
from flax.typing import Initializer

_LARGE = 1 << 22
"""Numbers of a table that is drawn column by column: above that of 16 MiB."""


def normal(stddev: float) -> Initializer:
    """N(0, stddev), drawn column by column if the table is large.

    On a CPU a draw takes three times the memory of what it gives, which for a whole
    table is as much as the table and both of Adam's moments, and would stay with the
    process. By columns and not by rows: of a table that is split over devices by rows
    each device draws its part.
    """

    def init(
        key: jax.Array, shape: tuple[int, int], dtype: Any = jnp.float32
    ) -> jax.Array:
        rows, columns = shape
        if rows * columns <= _LARGE:
            return stddev * jax.random.normal(key, shape, dtype)

        def draw(column, table):
            drawn = jax.random.normal(jax.random.fold_in(key, column), (rows, 1), dtype)
            return jax.lax.dynamic_update_slice(table, stddev * drawn, (0, column))

        return jax.lax.fori_loop(0, columns, draw, jnp.zeros(shape, dtype))

    return init
