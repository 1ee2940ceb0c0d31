"""One paper a file, each with a Flax module `Model`: features in, logits out.

A new file in this folder is a new model: `names` lists the folder, and `make` checks
hyperparameters against the fields of the file's `Model`. A hyperparameter's type is its
annotation; the end of its name tells its range: `_size`, `_dim`, `_dims` and `_ratio`
are 1 or more, `_layers` 0 or more, `_rate` is in [0, 1), `_stddev` is positive; any
other that begins with `num_` is 1 or more. `_layers` and `_steps` are 1000 at most, and
all whole numbers are below 2^31. An MLP without hidden layers is the identity, where a
model does not say that it then has none.
"""

import dataclasses
import importlib
import math
import numbers
import pkgutil
import types
import typing
from typing import Any

from flax import linen as nn

from afm_jax import errors

# Every model has these; programs take them from the data, not from a user.
_FROM_DATA = ("vocab_size", "slot_fields")


def names() -> tuple[str, ...]:
    """Names of all models, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def make(name: str, /, **hyperparameters: Any) -> nn.Module:
    """The model of that name.

    Lists are taken for tuples and whole numbers for floats where those are expected.

    Args:
        name: one of `names()`.
        **hyperparameters: fields of the model; `vocab_size` is always needed.

    Returns:
        A module with `__call__(features, *, train=False) -> logits float32 [B]`.

    Raises:
        InputError: no model has this name, the model has no such hyperparameter, or a
            value is of the wrong type or out of range.
        TypeError: `vocab_size` is not given.
    """
    if name not in names():
        raise errors.InputError(
            f"Unknown model {name!r}; choose from {names()}.{errors.did_you_mean(name, names())}"
        )
    model = importlib.import_module(f"{__name__}.{name}").Model
    annotations = typing.get_type_hints(model)
    fields = [
        field.name
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    ]
    checked = {}
    for key, value in hyperparameters.items():
        if key not in fields:
            settable = tuple(field for field in fields if field not in _FROM_DATA)
            raise errors.InputError(
                f"{name} has no hyperparameter {key!r}; it has {settable}.{errors.did_you_mean(key, settable)}"
            )
        checked[key] = _check(f"{name}'s {key}", key, value, annotations[key])
    return model(**checked)


def _check(title: str, key: str, value: Any, annotation: Any) -> Any:
    """The value in the type of the annotation, or an InputError with the reason."""
    converted, expected = _convert(value, annotation)
    found = converted if isinstance(converted, tuple) else (converted,)
    found = tuple(x for x in found if isinstance(x, int | float))
    if key.endswith("_layers"):
        expected += ", 0 or more"
        in_range = all(number >= 0 for number in found)
    elif key.endswith(("_size", "_dim", "_dims", "_ratio")) or key.startswith("num_"):
        expected += ", 1 or more"
        if key.endswith("_dims"):
            expected += ", such as (400, 400) or (64,)"
        in_range = all(number >= 1 for number in found)
    elif key.endswith("_rate"):
        expected += " in [0, 1)"
        in_range = all(0 <= number < 1 for number in found)
    elif key.endswith("_stddev"):
        expected += " above 0"
        in_range = all(number > 0 for number in found)
    else:
        in_range = True
    most = _MOST_REPEATS if key.endswith(("_layers", "_steps")) else _LARGEST
    if any(isinstance(number, int) and number > most for number in found):
        expected += f", at most {most:,}"
        in_range = False
    if converted is _WRONG or not in_range:
        raise errors.InputError(f"{title} is {value!r}; expected {expected}.")
    return converted


_WRONG = object()
_LARGEST = 2**31 - 1
# Every repeat is traced and compiled anew: with a million, for hours.
_MOST_REPEATS = 1000


def _convert(value: Any, annotation: Any) -> tuple[Any, str]:
    """The value in the type of the annotation, or `_WRONG`; and the type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        results = [_convert(value, argument) for argument in arguments]
        found = [converted for converted, _ in results if converted is not _WRONG]
        words = " or ".join(expected for _, expected in results)
        return (found[0] if found else _WRONG), words
    if origin is typing.Literal:
        words = f"one of {arguments}" if len(arguments) > 1 else repr(arguments[0])
        return (value if value in arguments else _WRONG), words
    if origin is tuple:
        items = [_convert(item, arguments[0])[0] for item in _items(value)]
        right = isinstance(value, list | tuple) and _WRONG not in items
        return (tuple(items) if right else _WRONG), "a tuple of whole numbers"
    if annotation is float:
        right = isinstance(value, numbers.Real) and not isinstance(value, bool)
        right = right and _is_finite(value)
        return (float(value) if right else _WRONG), "a number"
    if annotation is int:
        right = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        return (int(value) if right else _WRONG), "a whole number"
    words = {bool: "True or False", type(None): "None"}[annotation]
    return (value if isinstance(value, annotation) else _WRONG), words


def _items(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else ()


def _is_finite(number: numbers.Real) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False
