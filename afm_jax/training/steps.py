"""The train step and the prediction: pure functions, compiled in `devices`."""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Array, Batch, Features
from afm_jax.training import catch_up, rowwise, table_rows
from afm_jax.training.resting import Resting
from afm_jax.training.state import (
    TrainState,
    base_logit_of,
    join_scalar_tables,
    split_scalar_tables,
)
from afm_jax.training.task import COMPUTE_DTYPES, Task

Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]


def make_train_step(
    task: Task,
    *,
    num_table_rows: int | None = None,
    full_batch: int | None = None,
    axis_name: str | None = None,
) -> Step:
    """A function that makes one update.

    Args:
        task: the model, the loss, the optimizer, and how they are used.
        num_table_rows: rows of a table in the states that the step is for, at least the
            model's vocab_size, which it is by default. Rows from vocab_size on only fill
            the tables up.
        full_batch: rows of a full batch, all rows of `batch` by default. The running
            statistics of batch normalization follow a batch with fewer rows of weight
            above 0 by as much less: its statistics are as much less sure.
        axis_name: the mapped axis over which the batch is split, under `jax.pmap`. Each
            device then draws dropout of its own.

    Returns:
        step(state, batch) -> (state, {'loss': float32 []}); the loss is the weighted
        mean over the batch, before the update, without penalties. It is NaN if a
        feature id is outside the tables, or after more updates than
        `catch_up.begin` was told of.
    """
    num_ids = task.model.vocab_size
    model = task.model.clone(vocab_size=num_table_rows or num_ids)

    def update(model, state, batch):
        with _computing_in(task.compute_dtype):
            return _update(task, model, state, batch, full_batch, axis_name)

    def dense_step(state, batch):
        state, metrics = update(model, state, batch)
        wrong = jnp.any(table_rows.outside(batch.features.ids, num_ids))
        if axis_name is not None:
            wrong = jax.lax.psum(wrong, axis_name) > 0
        return state, _nan_if(wrong, metrics)

    def row_step(state, batch):
        if axis_name is not None and batch.unique_ids is None:
            raise ValueError(
                "under pmap, unique ids must be found before the batch is split"
            )
        params = jax.eval_shape(split_scalar_tables, state).params
        rowwise.check(task.tx, params)
        resting = catch_up.of(task, params)
        if resting is not None and state.missed is None:
            raise InputError(
                "With this optimizer, table rows catch up with updates that they missed: `training.catch_up.begin` prepares the state. Or train with table_update='lazy'."
            )
        batch = table_rows.with_unique_ids(batch, model.vocab_size)
        small_model = model.clone(vocab_size=batch.unique_ids.shape[0])
        small = table_rows.take(state, batch.unique_ids)
        if resting is not None:
            small = _caught_up(resting, small)
        small, metrics = update(small_model, small, batch)
        state = table_rows.put(state, small, batch.unique_ids)
        wrong = table_rows.outside(batch.unique_ids, num_ids)
        wrong &= ~table_rows.is_padding(batch.unique_ids)
        if resting is not None:
            wrong |= state.step - state.missed.start > state.missed.sums.shape[0] - 1
        return state, _nan_if(jnp.any(wrong), metrics)

    return dense_step if task.table_update == "dense" else row_step


def _caught_up(resting: Resting, small: TrainState) -> TrainState:
    """The table rows of a batch before its update, which then is their last."""
    joined = small.scalar_tables is not None
    # Table rows are taken first: XLA would else take each number in its formula, slowly.
    small = jax.lax.optimization_barrier(split_scalar_tables(small))
    small = catch_up.catch_up(resting, small)
    assert small.last_use is not None
    small = small._replace(last_use={"table": small.last_use["table"] + 1})
    return join_scalar_tables(small) if joined else small


def _update(
    task: Task,
    model: nn.Module,
    state: TrainState,
    batch: Batch,
    full_batch: int | None,
    axis_name: str | None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The gradient of the mean loss, what the optimizer makes of it, the new state."""
    joined = state.scalar_tables is not None
    state = split_scalar_tables(state)
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    weight, present = jnp.sum(batch.weights), jnp.sum(batch.weights > 0)
    num_rows = batch.weights.shape[0]
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        weight, present = jax.lax.psum((weight, present), axis_name)
        num_rows *= jax.lax.axis_size(axis_name)

    def mean_loss(params):
        logits, model_state = model.apply(
            {"params": params, **state.model_state},
            batch.features,
            train=True,
            rngs={"dropout": key},
            mutable=list(state.model_state),
        )
        each = task.made_loss(logits + state.base_logit, jnp.asarray(batch.labels))
        total = jnp.sum(each * batch.weights)
        # A batch of padding alone has no loss and no gradient.
        return total / jnp.maximum(weight, 1e-12), model_state

    (value, model_state), gradients = jax.value_and_grad(mean_loss, has_aux=True)(
        state.params
    )
    if axis_name is not None:
        value, gradients = jax.lax.psum((value, gradients), axis_name)
    if "batch_stats" in model_state:  # Other collections do not change.
        old, new = (each["batch_stats"] for each in (state.model_state, model_state))
        if axis_name is not None:
            new = jax.lax.pmean(new, axis_name)
        share = jnp.minimum(present / (full_batch or num_rows), 1.0)
        new = jax.tree.map(lambda o, n: (1.0 - share) * o + share * n, old, new)
        model_state = {**model_state, "batch_stats": new}
    updates, opt_state = task.tx.update(gradients, state.opt_state, state.params)
    updates = jax.tree.map(lambda u: u * state.learning_rate_scale, updates)
    state = state._replace(
        step=state.step + 1,
        params=optax.apply_updates(state.params, updates),
        model_state=model_state,
        opt_state=opt_state,
        loss_sum=state.loss_sum + value * weight,
        weight_sum=state.weight_sum + weight,
    )
    return join_scalar_tables(state) if joined else state, {"loss": value}


class Source(Protocol):
    """Batches that follow one another, at hand for a compiled call; see `feed`."""

    @property
    def num_steps(self) -> int:
        """S, how many there are."""

    def batch(self, i: Array) -> Batch:
        """That of step i."""


Steps = Callable[[TrainState, Any, int, int], tuple[TrainState, jax.Array]]


def make_train_steps(
    step: Step, place: Callable[[Batch], Batch] = lambda batch: batch
) -> Steps:
    """A function that makes several updates, in one call once it is compiled.

    Args:
        step: one update, of `make_train_step`.
        place: applied to every batch, to say how devices share it.

    Returns:
        steps(state, source, first, last) -> (state, losses): the updates `first` to
        `last` - 1 of the S of a `Source`. `losses`, float32 [S], is 0 where no update
        was made.
    """

    def steps(state, source, first, last):
        def update(i, carry):
            state, losses = carry
            state, metrics = step(state, place(source.batch(i)))
            return state, losses.at[i].set(metrics["loss"])

        losses = jnp.zeros(source.num_steps)
        return jax.lax.fori_loop(first, last, update, (state, losses))

    return steps


def make_predict(
    model: nn.Module,
    *,
    compute_dtype: str = "float32",
    num_table_rows: int | None = None,
) -> Callable[[Any, Features], jax.Array]:
    """A function (variables, features) -> logits float32 [B], without dropout.

    The base logit is added, if it is with the variables (see `state.variables_of`). The
    logit of a row with a feature id outside the tables is NaN.

    Args:
        model: a model of `afm_jax.models`.
        compute_dtype: as of a `Task`.
        num_table_rows: as for `make_train_step`.

    Raises:
        InputError: unknown `compute_dtype`.
    """
    check_one_of("compute_dtype", compute_dtype, COMPUTE_DTYPES)
    num_ids = model.vocab_size
    sized = model.clone(vocab_size=num_table_rows or num_ids)

    def predict(variables, features):
        wrong = table_rows.outside(features.ids, num_ids)
        with _computing_in(compute_dtype):
            logits: Any = sized.apply(variables, features)
        logits += base_logit_of(variables)
        return jnp.where(jnp.any(wrong, axis=1), jnp.nan, logits)

    return predict


def _computing_in(dtype: str) -> contextlib.AbstractContextManager:
    """The context to compute in; it is entered once."""
    if dtype == "bfloat16":
        return jax.default_matmul_precision(dtype)
    return contextlib.nullcontext()


def _nan_if(wrong: jax.Array, metrics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.where(wrong, jnp.nan, each) for name, each in metrics.items()}
