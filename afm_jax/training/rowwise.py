"""Whether an optimizer treats a table row as if there were no others.

Row updates hand the optimizer the table rows of a batch alone (see `training.table_rows`).
That is right for a transformation that is elementwise, or whose only sum over a table is
the norm of its gradient, to which rows without a gradient add nothing. It is wrong for
one that looks at whole tables, as LAMB does for its trust ratios.
"""

import functools
from typing import Any

import jax
import numpy as np
import optax

from afm_jax.errors import InputError
from afm_jax.training import leaves
from afm_jax.training.state import is_table, tables

_OTHER_ROWS, _WIDTH, _STEPS = 4, 3, 2
"""What is tried: table rows beside the first, the most of every other axis, updates."""

_PARAMETERS, _GRADIENTS = 0.02, 100.0
"""Standard deviations. They differ this much so that every kind of clipping is at work,
while a penalty on tables, which row updates confine to the rows of the batch on purpose,
adds next to nothing to the norm of the gradient."""


def check(tx: optax.GradientTransformation, params: Any) -> None:
    """Tries whether row updates with an optimizer do what the optimizer would do.

    The update of one table row alone must equal its update beside rows of nonzero
    parameters and zero gradient. The optimizer's state for a table must have one row for
    each row of the table, and no other state may depend on the number of table rows.

    Args:
        tx: the optimizer.
        params: a tree of parameters, of which only names, shapes and dtypes matter. The
            updates are tried on a few rows and columns in its place.

    Raises:
        InputError: it is otherwise.
    """
    # As jax has them: of NumPy's float64 it makes float32.
    arrays, structure = jax.tree.flatten(jax.eval_shape(lambda tree: tree, params))
    shapes = tuple((leaf.shape, np.dtype(leaf.dtype).name) for leaf in arrays)
    problem = _problem(tx, structure, shapes)
    if problem:
        raise InputError(
            f"Updates of the batch's table rows would not compute what this optimizer does: {problem}. Train with table_update='dense'."
        )


@functools.lru_cache
def _problem(
    tx: optax.GradientTransformation,
    structure: Any,
    shapes: tuple[tuple[tuple[int, ...], str], ...],
) -> str | None:
    """What is wrong, if anything; found once, however often a step is traced."""
    arrays = [jax.ShapeDtypeStruct(*each) for each in shapes]
    params = jax.tree.unflatten(structure, arrays)
    return (
        _state_not_by_rows(tx, params)
        or _adds_gradients_up(tx, params)
        or _update_not_by_rows(tx, params)
    )


def _state_not_by_rows(tx: optax.GradientTransformation, params: Any) -> str | None:
    def longer(path, leaf):
        rows = leaf.shape[0] + 1 if is_table(path) else None
        return leaf if rows is None else leaf.update(shape=(rows, *leaf.shape[1:]))

    larger = jax.tree_util.tree_map_with_path(longer, params)
    state, grown = (jax.eval_shape(tx.init, each) for each in (params, larger))
    is_one, grown = leaves.by_name(tables(state)), leaves.by_name(grown)
    for name, leaf in leaves.by_name(state).items():
        growth = [b - a for a, b in zip(leaf.shape, grown[name].shape, strict=True)]
        right = [1, *[0] * (leaf.ndim - 1)] if is_one[name] else [0] * leaf.ndim
        if growth != right:
            return f"its state {name} {leaf.shape} has not one row for each table row"
    return None


def _adds_gradients_up(tx: optax.GradientTransformation, params: Any) -> str | None:
    def is_one(state):
        return isinstance(state, optax.MultiStepsState | optax.ApplyEvery)

    state = jax.eval_shape(tx.init, params)
    if any(is_one(each) for each in jax.tree.leaves(state, is_leaf=is_one)):
        return "it adds up the gradients of several batches, and would lose those of table rows that the last of them does not use"
    return None


def _update_not_by_rows(tx: optax.GradientTransformation, params: Any) -> str | None:
    rng = np.random.default_rng(0)

    def draw(path, leaf, stddev, others, steps):
        """Of each step; all rows of a table but the first are multiplied by `others`."""
        shape = [min(size, _WIDTH) for size in leaf.shape]
        if is_table(path):
            shape[0] = 1 + _OTHER_ROWS
        array = rng.normal(0, stddev, (steps, *shape))
        if is_table(path):
            array[:, 1:] *= others
        return array.astype(leaf.dtype)

    def draw_all(*how):
        return jax.tree_util.tree_map_with_path(lambda *leaf: draw(*leaf, *how), params)

    def updates(values, gradients, rows):
        """Of the first row of every table in every step, where tables have `rows`."""
        values, gradients = jax.tree_util.tree_map_with_path(
            lambda path, array: array[:, :rows] if is_table(path) else array,
            (values, gradients),
        )
        values = jax.tree.map(lambda array: array[0], values)

        def step(state, gradient):
            update, state = tx.update(gradient, state, values)
            is_one = leaves.by_name(tables(update))
            found = leaves.by_name(update).items()
            return state, {name: each[0] for name, each in found if is_one[name]}

        return jax.lax.scan(step, tx.init(values), gradients)[1]

    def alone_and_beside(values, gradients):
        return [updates(values, gradients, n) for n in (1, 1 + _OTHER_ROWS)]

    # Compiled and run apart from a step that may just be traced.
    arrays = draw_all(_PARAMETERS, 1, 1), draw_all(_GRADIENTS, 0, _STEPS)
    compiled = jax.jit(alone_and_beside).lower(*arrays).compile()
    alone, beside = jax.device_get(compiled(*arrays))
    for name, update in alone.items():
        far = np.abs(update - beside[name]) > 1e-3 * np.abs(update).max()
        if far.any():
            return f"its update of a row of {name} depends on rows that are not in the batch"
    return None
