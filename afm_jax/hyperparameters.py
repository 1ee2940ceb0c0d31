"""Hyperparameters: what a value may be, in words and as a check.

A hyperparameter's type is its annotation. The end of its name tells its range: `_size`,
`_dim`, `_dims` and `_ratio` are 1 or more, `_layers` 0 or more, `_rate` is in [0, 1),
`_stddev` is positive; any other that begins with `num_` is 1 or more. `_layers` and
`_steps` are 1000 at most, and all whole numbers are below 2^31.
"""

import math
import numbers
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

from afm_jax.errors import InputError

_WRONG = object()
_LARGEST = 2**31 - 1
# Every repeat is traced and compiled anew: with a million, for hours.
_MOST_REPEATS = 1000


class Hyperparameter(NamedTuple):
    """A hyperparameter in words.

    Attributes:
        name: Name of the field of the class.
        expected: What its value may be, such as 'a whole number, 1 or more'.
        default: Its value if none is given, or `dataclasses.MISSING`.
        meaning: What it means, in whole sentences; '' if its class does not say.
    """

    name: str
    expected: str
    default: Any
    meaning: str


def expected(name: str, annotation: Any) -> str:
    """What the hyperparameter may be, in words.

    Args:
        name: its name, whose end tells the range.
        annotation: its type.
    """
    return _words(annotation) + _range(name).words


def check(title: str, name: str, value: Any, annotation: Any) -> Any:
    """The value in the type of the annotation.

    Lists are taken for tuples and whole numbers for floats where those are expected.

    Args:
        title: what it is called in an error.
        name: the hyperparameter's name, whose end tells the range.
        value: what was given.
        annotation: the type.

    Raises:
        InputError: the value is of another type or out of range.
    """
    converted = _convert(value, annotation)
    found = converted if isinstance(converted, tuple) else (converted,)
    found = tuple(x for x in found if isinstance(x, int | float))
    most = _MOST_REPEATS if name.endswith(("_layers", "_steps")) else _LARGEST
    too_large = any(isinstance(number, int) and number > most for number in found)
    if converted is _WRONG or too_large or not all(map(_range(name).holds, found)):
        limit = f", at most {most:,}" if too_large else ""
        words = expected(name, annotation) + limit
        raise InputError(f"{title} is {value!r}; expected {words}.")
    return converted


class _Range(NamedTuple):
    words: str
    holds: Callable[[float], bool]


def _range(name: str) -> _Range:
    """The range that the end of the name tells, with its words after the type's."""
    if name.endswith("_layers"):
        return _Range(", 0 or more", lambda number: number >= 0)
    if name.endswith(("_size", "_dim", "_dims", "_ratio")) or name.startswith("num_"):
        example = ", such as (400, 400) or (64,)" if name.endswith("_dims") else ""
        return _Range(f", 1 or more{example}", lambda number: number >= 1)
    if name.endswith("_rate"):
        return _Range(" in [0, 1)", lambda number: 0 <= number < 1)
    if name.endswith("_stddev"):
        return _Range(" above 0", lambda number: number > 0)
    return _Range("", lambda number: True)


def _words(annotation: Any) -> str:
    """The type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, arguments))
    if origin is typing.Literal:
        return f"one of {arguments}" if len(arguments) > 1 else repr(arguments[0])
    words = {
        tuple: "a tuple of whole numbers",
        float: "a number",
        int: "a whole number",
        bool: "True or False",
        type(None): "None",
    }
    return words[origin or annotation]


def _convert(value: Any, annotation: Any) -> Any:
    """The value in the type of the annotation, or `_WRONG`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        results = [_convert(value, argument) for argument in arguments]
        return next((found for found in results if found is not _WRONG), _WRONG)
    if origin is typing.Literal:
        return value if value in arguments else _WRONG
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return _WRONG
        items = tuple(_convert(item, arguments[0]) for item in value)
        return _WRONG if _WRONG in items else items
    if annotation in (int, float):
        kind = numbers.Integral if annotation is int else numbers.Real
        right = isinstance(value, kind) and not isinstance(value, bool)
        right = right and (annotation is int or _is_finite(value))
        return annotation(value) if right else _WRONG
    return value if isinstance(value, annotation) else _WRONG


def _is_finite(number: numbers.Real) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False
