"""The state of a training run: one NamedTuple of arrays."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from afm_jax.features import Array, Features
from afm_jax.training import leaves

T = TypeVar("T")

NO_BASE_LOGIT = np.zeros((), np.float32)

ADDED = {"base_logit": NO_BASE_LOGIT}
"""Leaves of a state that earlier checkpoints lack, and what they were then."""


class TrainState(NamedTuple):
    """All that a train step reads and writes.

    Attributes:
        step: int32 [], number of updates made.
        params: the model's parameters.
        model_state: its other variables by collection, such as 'batch_stats'.
        opt_state: the optax state.
        learning_rate_scale: float32 [], what plateau decay has left of the learning
            rate; multiplies every update.
        loss_sum: float32 [], sum of loss x weight over the rows since it was last reset.
        weight_sum: float32 [], sum of the weights of those rows.
        key: uint32 [2], the run's random key; step i draws from fold_in(key, i).
        base_logit: float32 [], a constant that is added to every logit of the model. It
            is no parameter: nothing trains or penalises it.
        scalar_tables: None, or float32 [vocab_size, N], the N tables of one number a
            table row, which `join_scalar_tables` moved here; their own leaves are then
            [vocab_size, 0].
        last_use: None, or {'table': float32 [vocab_size, 1]} under an optimizer that moves
            table rows at rest: how many updates of the epoch were made when a table row was
            last up to date. See `training.catch_up`.
        missed: None, or `missed_updates.Missed` within an epoch; not saved.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    learning_rate_scale: jax.Array
    loss_sum: jax.Array
    weight_sum: jax.Array
    key: jax.Array
    base_logit: Array = NO_BASE_LOGIT
    scalar_tables: jax.Array | None = None
    last_use: dict[str, jax.Array] | None = None
    missed: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """What a prediction needs, see `variables_of`."""
        # The parameters' columns are the first.
        params = _put_columns(self.params, self.scalar_tables)
        return variables_of(params, self.model_state, self.base_logit)


_BASE, _LOGIT = "base", "logit"


def variables_of(
    params: Any, model_state: Mapping[str, Any], base_logit: Array
) -> dict[str, Any]:
    """The variables of a model, and the base logit as a collection beside them.

    They go together into files and to devices, so that no reader of a model forgets the
    base logit. `Module.apply` leaves the collection alone; `steps.make_predict` adds it.
    """
    return {"params": params, **model_state, _BASE: {_LOGIT: base_logit}}


def base_logit_of(variables: Mapping[str, Any]) -> Array:
    """The base logit of variables; 0 of those that `Module.init` made."""
    return variables.get(_BASE, {_LOGIT: NO_BASE_LOGIT})[_LOGIT]


def create(
    model: nn.Module,
    tx: optax.GradientTransformation,
    features: Features,
    key: jax.Array,
    *,
    base_logit: float | Array = 0.0,
    catches_up: bool = False,
) -> TrainState:
    """A fresh state.

    Args:
        model: the model.
        tx: the optimizer.
        features: features of the model's shapes; their numbers do not matter.
        key: key of the initialisation and, split off, of all randomness in training.
        base_logit: a constant to add to every logit, see `losses.best_constant`.
        catches_up: whether table rows have a `last_use`.

    Returns:
        The state at step 0.
    """
    init_key, train_key = jax.random.split(key)
    model_state = dict(model.init(init_key, features))
    params = model_state.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=tx.init(params),
        learning_rate_scale=jnp.ones(()),
        loss_sum=jnp.zeros(()),
        weight_sum=jnp.zeros(()),
        key=jax.random.key_data(train_key),
        base_logit=jnp.asarray(base_logit, jnp.float32),
        last_use=up_to_date(params) if catches_up else None,
    )


def up_to_date(params: Any) -> dict[str, jax.Array]:
    """The `last_use` of table rows that are up to date before an epoch."""
    sizes = [
        leaf.shape[0]
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if is_table(path)
    ]
    return {"table": jnp.zeros((max(sizes, default=0), 1))}


def steps_made(state: TrainState) -> int:
    """Updates made so far, of a state on the host or on devices in any layout."""
    return int(np.ravel(state.step)[0])


def is_table(path: tuple[Any, ...]) -> bool:
    """Whether a leaf of a state is a table, or optimizer state that mirrors one.

    Optax keeps such state in trees shaped like the parameters, so both paths end in
    the parameter's name, `table`. A state's `scalar_tables` holds several.
    """
    if path == (jax.tree_util.GetAttrKey("scalar_tables"),):
        return True
    return bool(path) and getattr(path[-1], "key", None) == "table"


def is_scalar_table(path: tuple[Any, ...], leaf: Any) -> bool:
    """Whether a leaf of a state is a table that `join_scalar_tables` moves."""
    return is_table(path) and leaf.shape[1:] == (1,) and leaf.dtype == jnp.float32


def join_scalar_tables(state: TrainState) -> TrainState:
    """The state with its scalar tables, [V, 1], side by side in `scalar_tables`.

    A table row of each fills a cache line of its own; one of them all needs just one
    line, which counts where tables are too large for the cache. What is moved leaves an
    array [V, 0] in its place. A state without scalar tables stays as it is.
    """
    if state.scalar_tables is not None:
        return state
    columns = []

    def move(path, leaf):
        if not is_scalar_table(path, leaf):
            return leaf
        columns.append(leaf)
        return jnp.zeros((leaf.shape[0], 0))

    rest = jax.tree_util.tree_map_with_path(move, state)
    return (
        rest._replace(scalar_tables=jnp.concatenate(columns, axis=1))
        if columns
        else state
    )


def split_scalar_tables(state: TrainState) -> TrainState:
    """The inverse of `join_scalar_tables`; a state that is not joined stays as it is."""
    return _put_columns(state._replace(scalar_tables=None), state.scalar_tables)


def _put_columns(tree: T, columns: jax.Array | None) -> T:
    """The tree with these `scalar_tables` back where they were, from the first on."""
    if columns is None:
        return tree
    column = itertools.count()

    def put(path, leaf):
        if not is_table(path) or leaf.shape[1:] != (0,):
            return leaf
        i = next(column)
        return columns[:, i : i + 1]

    return jax.tree_util.tree_map_with_path(put, tree)


def tables(tree: Any) -> Any:
    """A tree of booleans, True at tables; the mask optax transformations take."""
    return jax.tree_util.tree_map_with_path(lambda path, _: is_table(path), tree)


def put_tables(params: Any, new: Mapping[str, Any]) -> Any:
    """The parameters with some of their tables replaced.

    Args:
        params: a tree of parameters.
        new: tables by name, such as 'embedding/table' (see `leaves.by_name`).

    Raises:
        ValueError: a name or shape that is not that of a table in `params`.
    """
    old, is_one = leaves.by_name(params), leaves.by_name(tables(params))
    for name, table in new.items():
        if not is_one.get(name) or old[name].shape != table.shape:
            raise ValueError(f"no table is {name} of shape {table.shape}")
    values = [new.get(name, leaf) for name, leaf in old.items()]
    return jax.tree.unflatten(jax.tree.structure(params), values)


def num_params(params: Any) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
