"""Which rule does a model break? The contract between models and training, as a check.

testing.check_model(MyModel, hidden_dims=(8,))
"""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.export
import numpy as np
from flax import linen as nn

from afm_jax.errors import InputError, shown
from afm_jax.features import Features
from afm_jax.model_rules import by_path, check_logits, check_tables, words

_VOCAB_SIZE = 16
_SLOT_FIELDS = (0, 1, 1, 2)
_SEEDS = range(16)  # Under one draw, a narrow layer of relu may be 0 for all rows.


def check_model(model: type[nn.Module], /, **hyperparameters: Any) -> None:
    """Raises an error that names the first rule that the model breaks.

    It runs the model on a few random rows of three fields, of which one has two slots,
    with values and dense columns. The rules, in the order of the checks:

    - The class has the fields `vocab_size` and `slot_fields`, which come from the data.
    - It is called as `model.apply(variables, features, train=...)`, `train` being False
      by default, and returns logits float32 [B].
    - Every submodule has a name. Parameters are float32.
    - Only tables depend on `vocab_size`. They are the parameters `table`, of shape
      [vocab_size, ...], of submodules `embedding` and `first_order`.
    - A row reads those table rows alone whose ids it has: over the table rows of a batch,
      `model.clone(vocab_size=...)` computes the same logits.
    - Without `train` the logits need no key. A row does not depend on other rows.
    - The number of rows may be a symbol, as in `jax.export`.
    - Every parameter receives a finite gradient that is not 0, and a table receives none
      in table rows without an id in the batch. From the start that the model gives it, a
      parameter learns within four steps.
    - Every hyperparameter whose name ends in `dropout_rate` makes training random.

    Args:
        model: the class, such as `Model` of a file in `afm_jax.models`.
        **hyperparameters: its fields other than those from the data.

    Raises:
        InputError: a rule is broken, or it is no class of a model.
    """
    if not isinstance(model, type) or not issubclass(model, nn.Module):
        raise InputError(
            f"check_model takes the class of a model, such as MyModel, found {shown(model)}."
        )
    _check_class(model)
    data: dict[str, Any] = {"vocab_size": _VOCAB_SIZE, "slot_fields": _SLOT_FIELDS}
    made = model(**data, **hyperparameters)
    features = _features()
    variables = jax.eval_shape(made.init, jax.random.key(0), features)
    check_logits(made, variables, features)
    _check_parameters(made, variables)
    check_tables(made, features)
    case = _Case.make(made)
    for check in (
        _check_rows_of_the_batch,
        _check_independence,
        _check_symbolic_batch,
        _check_gradients,
        _check_start,
        _check_dropout,
    ):
        check(case)


class _Case(NamedTuple):
    """A model with random parameters, and features for it."""

    model: Any
    variables: dict[str, Any]
    features: Features
    compute: Callable[[Any, Any, Features], tuple[Any, Any]]
    """(params, other variables, features) -> logits, and the gradient of their squares."""

    @classmethod
    def make(cls, model: Any) -> "_Case":
        features, key = _features(), jax.random.key(0)
        shapes = jax.eval_shape(model.init, key, features)
        params = _draw(shapes["params"], seed=0)
        rest = [name for name in shapes if name != "params"]

        @jax.jit  # What is not asked for is not compiled.
        def others(key: jax.Array) -> dict[str, Any]:
            variables = model.init(key, features)
            return {name: variables[name] for name in rest}

        def squares(params: Any, others: Any, features: Features) -> tuple[Any, Any]:
            logits = model.apply({"params": params, **others}, features)
            return (logits**2).sum(), logits

        @jax.jit
        def compute(params: Any, others: Any, features: Features) -> tuple[Any, Any]:
            gradient, logits = jax.grad(squares, has_aux=True)(params, others, features)
            return logits, gradient

        variables = {**(others(key) if rest else {}), "params": params}
        return cls(model, variables, features, compute)

    @property
    def name(self) -> str:
        return type(self.model).__name__

    def logits(self, features: Features) -> np.ndarray:
        rest = dict(self.variables)
        return np.asarray(self.compute(rest.pop("params"), rest, features)[0])


def _features(*, seed: int = 0) -> Features:
    """Six rows over `_SLOT_FIELDS`, whose ids leave table rows over."""
    rng = np.random.default_rng(seed)
    starts = np.array([0, 5, 5, 11])
    shape = (6, len(starts))
    ids = (starts + rng.permuted(np.tile(np.arange(4), (6, 1)), axis=1)).astype(
        np.int32
    )
    values = rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return Features(ids, values, rng.normal(size=(6, 2)).astype(np.float32))


def _draw(params: Any, seed: int) -> Any:
    """So no bias is 0, no scale is 1, and every part of the formula counts."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), params
    )


def _check_class(model: type[nn.Module]) -> None:
    fields = [field.name for field in dataclasses.fields(model)]
    for field in ("vocab_size", "slot_fields"):
        if field not in fields:
            raise InputError(
                f"{model.__name__} has no field {field!r}; a model has vocab_size: int and slot_fields: tuple[int, ...] | None, which come from the data."
            )
    train = inspect.signature(model.__call__).parameters.get("train")
    if train is None or train.default is not False:
        raise InputError(
            f"{model.__name__}.__call__ has no option train=False; write def __call__(self, features, *, train=False)."
        )


def _check_parameters(model: Any, variables: Any) -> None:
    name = type(model).__name__
    for where, leaf in by_path(variables):
        for part in where.split("/"):
            kind, _, number = part.rpartition("_")
            if number.isdigit() and kind[:1].isupper():
                raise InputError(
                    f"{name}'s submodule {part!r} has no name; give it one, such as {kind}(..., name='hidden')."
                )
        if leaf.dtype != np.float32 and where.startswith("params/"):
            raise InputError(f"{name}'s {where} is {words(leaf)}; expected float32.")


def _check_rows_of_the_batch(case: _Case) -> None:
    """Row updates run the model over the table rows of a batch alone."""
    rows, positions = np.unique(case.features.ids, return_inverse=True)
    small = case.model.clone(vocab_size=len(rows))
    variables = jax.tree.map_with_path(
        lambda path, leaf: leaf[rows] if path[-1].key == "table" else leaf,
        case.variables,
    )
    ids = positions.astype(np.int32).reshape(case.features.ids.shape)
    found: Any = jax.jit(small.apply)(variables, case.features._replace(ids=ids))
    if not _close(np.asarray(found), case.logits(case.features)):
        raise InputError(
            f"{case.name} has other logits over the table rows of a batch alone; read tables by features.ids, and no table row that has no id there."
        )


def _check_independence(case: _Case) -> None:
    mixed = jax.tree.map(
        lambda ours, theirs: np.concatenate([ours[:2], theirs[2:]]),
        case.features,
        _features(seed=1),
    )
    if not _close(case.logits(mixed)[:2], case.logits(case.features)[:2]):
        raise InputError(
            f"{case.name}'s logit of a row depends on the other rows of the batch; compute each row by itself where train is False."
        )


def _check_symbolic_batch(case: _Case) -> None:
    rows = jax.export.symbolic_shape("rows")[0]
    inputs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((rows, *leaf.shape[1:]), leaf.dtype),
        case.features,
    )
    try:
        jax.export.export(jax.jit(case.model.apply))(case.variables, inputs)
    except Exception as error:  # Of whichever operation needs a number.
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{case.name} cannot be exported for any number of rows ({reason}); take sizes from .shape, never len, and compute with them as they are."
        ) from error


def _check_gradients(case: _Case) -> None:
    rest = dict(case.variables)
    draws = [_draw(rest["params"], seed) for seed in _SEEDS]
    del rest["params"]
    gradients = [case.compute(params, rest, case.features)[1] for params in draws]
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *gradients)
    for where, found in by_path({"params": together}):
        if not np.isfinite(found).all() or not found.any():
            kind = "of 0" if np.isfinite(found).all() else "that is not finite"
            raise InputError(
                f"{case.name}'s {where} receives a gradient {kind}; take it away, or let the logits depend on it."
            )
        if where.endswith("/table") and np.delete(found, case.features.ids, 1).any():
            raise InputError(
                f"{case.name}'s {where} receives a gradient in table rows that have no id in the batch; read tables by features.ids alone."
            )


def _check_start(case: _Case) -> None:
    """Steps of one size for every parameter, whatever the size of its gradient."""
    init = jax.jit(case.model.init)
    learned = jax.tree.map(lambda leaf: False, case.variables["params"])
    for seed in _SEEDS:
        rest = dict(init(jax.random.key(seed), case.features))
        params = rest.pop("params")
        for _ in range(4):
            _, gradient = case.compute(params, rest, case.features)
            signs = jax.tree.map(np.sign, gradient)
            learned = jax.tree.map(lambda done, s: done or s.any(), learned, signs)
            params = jax.tree.map(lambda leaf, s: leaf - 0.01 * s, params, signs)
        if all(jax.tree.leaves(learned)):
            return
    where = next(where for where, done in by_path({"params": learned}) if not done)
    raise InputError(
        f"{case.name}'s {where} never learns: from the start that the model gives it, its gradient is 0 for four steps; start what it is multiplied by at other numbers than 0."
    )


def _check_dropout(case: _Case) -> None:
    for field in dataclasses.fields(case.model):
        if not field.name.endswith("dropout_rate"):
            continue
        model = case.model.clone(**{field.name: 0.5})

        @jax.jit
        def logits(key: jax.Array, model: Any = model) -> Any:
            options: Any = {"train": True, "rngs": {"dropout": key}, "mutable": True}
            return model.apply(case.variables, case.features, **options)[0]

        one, two = (np.asarray(logits(jax.random.key(seed))) for seed in (1, 2))
        if (one == two).all():
            raise InputError(
                f"{case.name}'s {field.name} changes nothing with train=True; hand it to nn.Dropout(rate, deterministic=not train)."
            )


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    scale = max(1.0, float(np.abs(expected).max()))
    return np.allclose(found, expected, rtol=1e-4, atol=1e-4 * scale)
