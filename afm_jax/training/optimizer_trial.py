"""Updates of tables of one number each: what an optimizer does to a single table row.

An optax transformation is a function; what it does is found by calling it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from afm_jax.training import leaves
from afm_jax.training.state import is_table

_AT_ONCE = 1024
"""Updates of one call of the compiled trial."""


class Tried(NamedTuple):
    """What N updates gave.

    Attributes:
        moved: float64 [N], what was added to the number, by table.
        mirrors: float64 [N, M], the states after the update that mirror the table, in the
            order of `Trial.mirrors`, by table.
        counted: bool [N], whether all other numbers of the optimizer's state either
            counted the update or stayed as they were.
    """

    moved: dict[str, np.ndarray]
    mirrors: dict[str, np.ndarray]
    counted: np.ndarray


class Trial:
    """An optimizer with parameters of one number each.

    Attributes:
        mirrors: by the name of the table, the names of the optimizer's states that mirror
            it: of its dtype, at its path.
        others: names of states that mirror a table in another dtype.
        width: the most of `mirrors`.
        dtype: of all numbers.
    """

    def __init__(self, tx: optax.GradientTransformation, params: Any):
        """Compiles the update.

        Args:
            tx: the optimizer.
            params: a tree of parameters, all axes of 1.
        """
        self.dtype = jnp.result_type(float)
        dtypes = {
            leaves.name_of(path): leaf.dtype
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
            if is_table(path)
        }
        self.mirrors: dict[str, list[str]] = {table: [] for table in dtypes}
        self.others: list[str] = []
        state = jax.eval_shape(tx.init, params)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state):
            name = leaves.name_of(path)
            tables = [table for table in dtypes if name.endswith("/" + table)]
            # A table's name may be the end of another's.
            table = max(tables, key=len, default="")
            if is_table(path) and leaf.dtype == dtypes.get(table):
                self.mirrors[table].append(name)
            elif is_table(path):
                self.others.append(name)
        self.width = max([1, *(len(names) for names in self.mirrors.values())])
        numbers = [
            jax.ShapeDtypeStruct((_AT_ONCE, *rest), dtype)
            for rest, dtype in (
                ((), jnp.int32),
                ((self.width,), self.dtype),
                ((), self.dtype),
                ((), self.dtype),
            )
        ]
        update = jax.vmap(lambda *each: self._update(tx, params, *each))
        self._compiled = jax.jit(update).lower(*numbers).compile()

    def run(
        self,
        counts: np.ndarray,
        mirrors: np.ndarray,
        *,
        number: float = 0.0,
        gradient: float = 0.0,
    ) -> Tried:
        """Updates of every table's number.

        Args:
            counts: integer [N], how many updates were made before.
            mirrors: float [N, width], the states before the update.
            number: the number.
            gradient: its gradient.
        """
        parts = []
        for start in range(0, counts.size, _AT_ONCE):
            size = min(_AT_ONCE, counts.size - start)
            rows = np.resize(np.arange(start, start + size), _AT_ONCE)
            found = self._compiled(
                counts[rows].astype(np.int32),
                mirrors[rows].astype(self.dtype),
                np.full(_AT_ONCE, number, self.dtype),
                np.full(_AT_ONCE, gradient, self.dtype),
            )
            parts.append(jax.tree.map(lambda a, n=size: np.asarray(a)[:n], found))
        moved, after, counted = jax.tree.map(lambda *a: np.concatenate(a), *parts)
        return Tried(
            {table: column.astype(np.float64) for table, column in moved.items()},
            {table: columns.astype(np.float64) for table, columns in after.items()},
            counted,
        )

    def _update(self, tx, params, count, mirrors, number, gradient):
        places = {
            name: place
            for names in self.mirrors.values()
            for place, name in enumerate(names)
        }

        def of_tables(value):
            return jax.tree_util.tree_map_with_path(
                lambda path, leaf: jnp.full_like(leaf, value * is_table(path)), params
            )

        def set_leaf(path, leaf):
            place = places.get(leaves.name_of(path))
            if place is not None:
                return jnp.full_like(leaf, mirrors[place])
            return jnp.full_like(leaf, count) if _is_count(leaf) else leaf

        fresh = tx.init(params)
        before = jax.tree_util.tree_map_with_path(set_leaf, fresh)
        moved, after = tx.update(of_tables(gradient), before, of_tables(number))
        counted = jnp.ones((), bool)
        new, old, first = (leaves.by_name(each) for each in (after, before, fresh))
        for name, leaf in new.items():
            if _is_count(leaf):
                counted &= (leaf == old[name] + 1) & (first[name] == 0)
            elif not leaf.shape:
                counted &= leaf == old[name]
        moved = leaves.by_name(moved)
        return (
            {table: moved[table].reshape(()) for table in self.mirrors},
            {
                table: jnp.stack([new[name].reshape(()) for name in names])
                if names
                else jnp.zeros(0)
                for table, names in self.mirrors.items()
            },
            counted,
        )


def _is_count(leaf: Any) -> bool:
    """Whether a leaf of an optimizer's state may be a number of updates."""
    return not leaf.shape and jnp.issubdtype(leaf.dtype, jnp.integer)
