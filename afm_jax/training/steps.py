"""The train step and the prediction: pure functions, compiled in `devices`."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from afm_jax.errors import check_one_of
from afm_jax.features import Array, Batch, Features
from afm_jax.ops.losses import Loss
from afm_jax.training import rowwise, table_rows
from afm_jax.training.state import (
    TrainState,
    base_logit_of,
    join_scalar_tables,
    split_scalar_tables,
)

Step = Callable[[TrainState, Batch], tuple[TrainState, dict[str, jax.Array]]]

TABLE_UPDATES = ("rows", "dense")
COMPUTE_DTYPES = ("float32", "bfloat16")


def make_train_step(
    model: nn.Module,
    tx: optax.GradientTransformation,
    loss: Loss,
    *,
    table_update: str = "rows",
    compute_dtype: str = "float32",
    num_ids: int | None = None,
    full_batch: int | None = None,
    axis_name: str | None = None,
) -> Step:
    """A function that makes one update.

    Args:
        model: a model of `afm_jax.models`.
        tx: an optax transformation. If `table_update` is 'rows', it must treat a table
            row as if there were no others; the first call raises InputError if it does
            not (see `training.rowwise`).
        loss: (logits [B], labels [B]) -> losses [B].
        table_update: 'rows' updates the table rows of the batch, at a cost that does
            not depend on vocab_size (see `training.table_rows`); 'dense' updates whole
            tables, as published benchmarks do.
        compute_dtype: 'bfloat16' rounds the operands of `ops.matmul`, the products of
            hidden layers and of cross layers with a matrix; parameters, sums and all
            else stay float32.
        num_ids: ids from here on are outside the tables; model.vocab_size by default,
            less where the tables have rows that only fill them up.
        full_batch: rows of a full batch, all rows of `batch` by default. The running
            statistics of batch normalization follow a batch with fewer rows of weight
            above 0 by as much less: its statistics are as much less sure.
        axis_name: the mapped axis over which the batch is split, under `jax.pmap`. Each
            device then draws dropout of its own.

    Returns:
        step(state, batch) -> (state, {'loss': float32 []}); the loss is the weighted
        mean over the batch, before the update, without penalties. It is NaN if a
        feature id is outside the tables.

    Raises:
        InputError: unknown `table_update` or `compute_dtype`.
    """
    computing = _computing_in(compute_dtype)
    num_ids = num_ids or model.vocab_size
    check_one_of("table_update", table_update, TABLE_UPDATES)

    def update(model, state, batch):
        with computing():
            return _update(model, tx, loss, full_batch, axis_name, state, batch)

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
        rowwise.check(tx, jax.eval_shape(split_scalar_tables, state).params)
        batch = table_rows.with_unique_ids(batch, model.vocab_size)
        small_model = model.clone(vocab_size=batch.unique_ids.shape[0])
        small = table_rows.take(state, batch.unique_ids)
        small, metrics = update(small_model, small, batch)
        state = table_rows.put(state, small, batch.unique_ids)
        wrong = table_rows.outside(batch.unique_ids, num_ids)
        wrong &= ~table_rows.is_padding(batch.unique_ids)
        return state, _nan_if(jnp.any(wrong), metrics)

    return dense_step if table_update == "dense" else row_step


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


def _computing_in(dtype: str) -> Callable[[], contextlib.AbstractContextManager]:
    """Makes the context to compute in."""
    check_one_of("compute_dtype", dtype, COMPUTE_DTYPES)
    if dtype == "bfloat16":
        return functools.partial(jax.default_matmul_precision, dtype)
    return contextlib.nullcontext


def _nan_if(wrong: jax.Array, metrics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.where(wrong, jnp.nan, each) for name, each in metrics.items()}


def _update(
    model: nn.Module,
    tx: optax.GradientTransformation,
    loss: Loss,
    full_batch: int | None,
    axis_name: str | None,
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, dict[str, jax.Array]]:
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
        each = loss(logits + state.base_logit, jnp.asarray(batch.labels))
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
    updates, opt_state = tx.update(gradients, state.opt_state, state.params)
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


def make_predict(
    model: nn.Module, *, compute_dtype: str = "float32", num_ids: int | None = None
) -> Callable[[Any, Features], jax.Array]:
    """A function (variables, features) -> logits float32 [B], without dropout.

    The base logit is added, if it is with the variables (see `state.variables_of`). The
    logit of a row with a feature id outside the tables is NaN.

    Args:
        model: a model of `afm_jax.models`.
        compute_dtype: as for `make_train_step`.
        num_ids: as for `make_train_step`.

    Raises:
        InputError: unknown `compute_dtype`.
    """
    computing = _computing_in(compute_dtype)
    num_ids = num_ids or model.vocab_size

    def predict(variables, features):
        wrong = table_rows.outside(features.ids, num_ids)
        with computing():
            logits: Any = model.apply(variables, features)
        logits += base_logit_of(variables)
        return jnp.where(jnp.any(wrong, axis=1), jnp.nan, logits)

    return predict
