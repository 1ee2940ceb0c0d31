"""Optimizers and learning-rate schedules by name, as optax transformations."""

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import optax

from afm_jax import hyperparameters
from afm_jax.errors import InputError, did_you_mean
from afm_jax.training import leaves
from afm_jax.training.state import tables

SCHEDULES = ("constant", "cosine")

# The network of `modules.attention` under its name in the models; W is its kernel.
_ATTENTION = {f"attention/{name}" for name in ("kernel", "bias", "query")}


def make(
    name: str,
    learning_rate: float | optax.Schedule,
    *,
    table_l2: float = 0.0,
    l2: float = 0.0,
    attention_l2: float = 0.0,
    clip_norm: float = 0.0,
    numbers: Mapping[str, Any] = MappingProxyType({}),
) -> optax.GradientTransformation:
    """An optimizer for models with tables.

    The gradient of the penalty table_l2 / 2 |tables|^2 + l2 / 2 |the rest|^2 +
    attention_l2 / 2 |W|^2 is added to that of the loss, then the whole is clipped to
    `clip_norm`, then the optimizer takes it. 'adamw' instead decays parameters apart
    from the gradient (Loshchilov & Hutter 2019), with the same strengths. With row
    updates, the penalty on tables is over the rows of the batch.

    Args:
        name: of `OPTIMIZERS`. Adagrad's sums of squares start at 0, as in PyTorch; from optax's 0.1 on, a table, whose gradients are small in a mean
            over the batch, would hardly move. All others are as optax has them.
        learning_rate: learning rate per step, or an optax schedule of it.
        table_l2: strength of the penalty on tables, >= 0.
        l2: strength of the penalty on all other parameters, >= 0.
        attention_l2: strength, >= 0, of one more penalty on the kernel W of the
            attention network alone, AFM's only one (Xiao et al. 2017, section 3.2).
            Their code's loss is half a sum of squares over the batch: under
            `losses.squared_error` its lambda is this times half the batch size.
        clip_norm: largest global norm of the gradient; 0 does not clip.
        numbers: values for arguments of the optimizer that are numbers, by name, such
            as Adam's b2.

    Raises:
        InputError: unknown name, no such number, or an optimizer of optax that needs
            more than gradients. The optimizer's `init` raises it where `attention_l2`
            is above 0 and no parameter is an attention network's kernel.
    """
    function_of(name)
    decay = []
    if table_l2:
        decay.append(optax.add_decayed_weights(table_l2, mask=tables))
    if l2:
        decay.append(optax.add_decayed_weights(l2, mask=_not_tables))
    if attention_l2:
        decay.append(optax.add_decayed_weights(attention_l2, mask=_attention_kernel))
    clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
    if name in _SCALES:
        scale = _SCALES[name](
            **hyperparameters.check(
                name, hyperparameters.of_function(_SCALES[name]), numbers
            )
        )
        step = [scale, optax.scale_by_learning_rate(learning_rate)]
    else:
        step = [_of_gradients_alone(name, learning_rate, numbers)]
    if name == "adamw":
        return optax.chain(*clip, step[0], *decay, step[1])
    return optax.chain(*decay, *clip, *step)


def function_of(name: str) -> Callable[..., optax.GradientTransformation]:
    """The function of optax that makes the optimizer; its arguments have what can be set.

    Raises:
        InputError: unknown name.
    """
    if name not in OPTIMIZERS:
        raise InputError(
            f"Unknown optimizer {name!r}; choose from {OPTIMIZERS}.{did_you_mean(name, OPTIMIZERS)}"
        )
    return _SCALES.get(name) or getattr(optax, name)


def make_schedule(
    name: str, learning_rate: float, *, warmup_steps: int, total_steps: int
) -> optax.Schedule:
    """A learning-rate schedule: linear warm-up from 0, then constant or cosine to 0.

    Args:
        name: 'constant' or 'cosine'.
        learning_rate: learning rate per step after the warm-up.
        warmup_steps: number of steps of the warm-up; 0 for none.
        total_steps: step at which 'cosine' reaches 0.

    Raises:
        InputError: unknown name, or a warm-up that fills the whole run.
    """
    if name not in SCHEDULES:
        raise InputError(
            f"Unknown schedule {name!r}; choose from {SCHEDULES}.{did_you_mean(name, SCHEDULES)}"
        )
    if warmup_steps >= total_steps:
        raise InputError(
            f"warmup_steps must be below the number of steps, {total_steps}; found {warmup_steps}."
        )
    after: Callable[[Any], Any] = optax.constant_schedule(learning_rate)
    if name == "cosine":
        after = optax.cosine_decay_schedule(learning_rate, total_steps - warmup_steps)
    if not warmup_steps:
        return after
    warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    return optax.join_schedules([warmup, after], [warmup_steps])


def _scale_by_adagrad(
    initial_accumulator_value: float = 0.0, eps: float = 1e-30
) -> optax.GradientTransformation:
    # eps only keeps 0 from being divided by; it is added to the sum of squares.
    return optax.scale_by_rss(initial_accumulator_value, eps)


def _scale_by_sgd(
    momentum: float = 0.0, nesterov: bool = False
) -> optax.GradientTransformation:
    return optax.trace(momentum, nesterov) if momentum else optax.identity()


_SCALES: Mapping[str, Callable[..., optax.GradientTransformation]] = {
    "adagrad": _scale_by_adagrad,
    "adam": optax.scale_by_adam,
    "adamw": optax.scale_by_adam,
    "sgd": _scale_by_sgd,
}


def _of_optax() -> Iterator[str]:
    """Names of what optax makes of a learning rate alone: optimizers."""
    for name, function in inspect.getmembers(optax, inspect.isfunction):
        parameters = [*inspect.signature(function).parameters.values()]
        needed = [each.name for each in parameters if each.default is each.empty]
        needed = [each for each in needed if each not in ("args", "kwargs")]
        if needed == ["learning_rate"] and not name.startswith("scale_by_"):
            yield name


OPTIMIZERS = (*_SCALES, *(name for name in _of_optax() if name not in _SCALES))
"""Names that `make` knows: four as click-through-rate models have them, then optax's."""


def check(tx: optax.GradientTransformation, params: Any, state: Any) -> None:
    """Checks that an optimizer can train a model.

    Args:
        tx: the optimizer.
        params: the model's parameters, of which only names, shapes and dtypes matter.
        state: the optimizer's state for them, likewise.

    Raises:
        InputError: its `update` takes more than gradients, its state and parameters; or its
            state for a table has not one row for each row of the table.
    """
    try:
        jax.eval_shape(tx.update, params, state, params)
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"The optimizer does not work on gradients alone ({reason.removesuffix('.')}); choose another, such as 'adam'."
        ) from error
    lengths = {leaf.shape[0] for leaf in _tables_of(params).values()}
    for where, leaf in _tables_of(state).items():
        if leaf.ndim == 0 or leaf.shape[0] not in lengths:
            raise InputError(
                f"The optimizer's state {where} {leaf.shape} has not one row for each table row; choose another, such as 'adam'."
            )


def _tables_of(tree: Any) -> dict[str, Any]:
    is_one = leaves.by_name(tables(tree))
    return {name: leaf for name, leaf in leaves.by_name(tree).items() if is_one[name]}


def _of_gradients_alone(
    name: str, learning_rate: float | optax.Schedule, numbers: Mapping[str, Any]
) -> optax.GradientTransformation:
    """The optimizer of optax; raises InputError if it takes more, or is deprecated."""
    make = getattr(optax, name)
    numbers = hyperparameters.check(name, hyperparameters.of_function(make), numbers)
    params = {"kernel": jax.ShapeDtypeStruct((2, 3), np.float32)}
    try:
        with warnings.catch_warnings(action="error"):
            tx = make(learning_rate, **numbers)
            jax.eval_shape(lambda tree: tx.update(tree, tx.init(tree), tree), params)
    except Exception as error:
        reason = str(error).partition("\n")[0].removesuffix(".")
        raise InputError(
            f"The optimizer {name!r} of optax does not work on gradients alone ({reason}); choose another, such as 'adam'."
        ) from None
    return tx


def _not_tables(params: Any) -> Any:
    return jax.tree.map(lambda is_one: not is_one, tables(params))


def _attention_kernel(params: Any) -> Any:
    names = leaves.by_name(params)
    if not set(names) >= _ATTENTION:
        raise InputError("attention_l2 needs a model that learns attention over pairs.")
    found = [name == "attention/kernel" for name in names]
    return jax.tree.unflatten(jax.tree.structure(params), found)
