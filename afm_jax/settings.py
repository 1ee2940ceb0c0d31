"""Numbers that a user may set of a function by name: what there is, and what it may be."""

import ast
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from afm_jax.errors import InputError, did_you_mean


def settable(function: Callable[..., Any]) -> dict[str, bool | int | float]:
    """The arguments of a function whose default is a number, True or False, and that."""
    parameters = inspect.signature(function).parameters.values()
    return {
        each.name: each.default
        for each in parameters
        if isinstance(each.default, bool | int | float)
    }


def check(
    title: str, function: Callable[..., Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The given settings of a function, if it has them and can work with them.

    Args:
        title: what to call the function, such as 'adam'.
        function: it has an argument of each name, see `settable`.
        given: a value for each name.

    Raises:
        InputError: the function has no such argument; or its default is a number and
            the value is not a finite one, or True or False and the value is neither.
    """
    known = settable(function)
    for name, value in given.items():
        if name not in known:
            raise InputError(
                f"{title} has no setting {name!r}; it has {tuple(known) or 'none'}.{did_you_mean(name, known)}"
            )
        if isinstance(known[name], bool):
            right, expected = isinstance(value, bool), "True or False"
        else:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            right, expected = number and math.isfinite(value), "a finite number"
        if not right:
            raise InputError(f"{title}'s {name} is {value!r}; expected {expected}.")
    return dict(given)


def read(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """What the texts name=value of an option set.

    Args:
        option: its name, for errors.
        texts: a value that is no Python literal is a text.

    Raises:
        InputError: a text that is not name=value.
    """
    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--{option}={text}: expected --{option}=name=value.")
        values[key] = _literal(value)
    return values


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
