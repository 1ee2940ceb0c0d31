"""Hyperparameters: what a user may set by name of a model, an optimizer or a loss.

Those of a model are its fields, of the type of their annotation. The end of a name tells
its range: `_size`, `_dim`, `_dims` and `_ratio` are 1 or more, `_layers` 0 or more, `_rate`
is in [0, 1), `_stddev` is positive; any other that begins with `num_` is 1 or more.
`_layers` and `_steps` are 1000 at most, and all whole numbers are below 2^31.

Those of a function, such as an optimizer's b2 or a loss's gamma, are its arguments whose
default is True, False or a number. In place of a number any finite one may be.
"""

import ast
import dataclasses
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from afm_jax.errors import InputError, did_you_mean, shown

_WRONG = object()
_LARGEST = 2**31 - 1
# Every repeat is traced and compiled anew: with a million, for hours.
_MOST_REPEATS = 1000


class Hyperparameter(NamedTuple):
    """A hyperparameter in words.

    Attributes:
        name: Name of the field or argument.
        annotation: Its type.
        default: Its value if none is given, or `dataclasses.MISSING`.
        meaning: What it means, in whole sentences; '' if its class does not say.
    """

    name: str
    annotation: Any
    default: Any = dataclasses.MISSING
    meaning: str = ""

    @property
    def expected(self) -> str:
        """What its value may be in words, such as 'a whole number, 1 or more'."""
        return _words(self.annotation) + _range(self).words


def of_class(model: type) -> tuple[Hyperparameter, ...]:
    """Those of a model's class, whose docstring's meanings are left out."""
    annotations = typing.get_type_hints(model)
    return tuple(
        Hyperparameter(field.name, annotations[field.name], _default(field))
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")  # of every Flax module
    )


def of_function(function: Callable[..., Any]) -> tuple[Hyperparameter, ...]:
    """Those of a function that makes an optimizer, or is a loss."""
    return tuple(
        Hyperparameter(
            each.name,
            bool if isinstance(each.default, bool) else numbers.Real,
            each.default,
        )
        for each in inspect.signature(function).parameters.values()
        if isinstance(each.default, bool | int | float)
    )


def check(
    title: str, known: Iterable[Hyperparameter], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The given values in the types that are expected.

    Lists are taken for tuples and whole numbers for floats where those are expected.

    Args:
        title: whose they are, such as 'afm' or 'adam'.
        known: what it has.
        given: a value for each name.

    Raises:
        InputError: it has none of this name, or the value is of another type or out of
            range.
    """
    found = {each.name: each for each in known}
    for name in given:
        if name not in found:
            raise InputError(
                f"{title} has no hyperparameter {name!r}; it has {tuple(found) or 'none'}.{did_you_mean(name, found)}"
            )
    return {name: _checked(title, found[name], value) for name, value in given.items()}


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


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _checked(title: str, hyperparameter: Hyperparameter, value: Any) -> Any:
    converted = _convert(value, hyperparameter.annotation)
    found = converted if isinstance(converted, tuple) else (converted,)
    found = tuple(x for x in found if isinstance(x, int | float))
    allowed = _range(hyperparameter)
    too_large = any(isinstance(x, int) and x > allowed.most for x in found)
    if converted is _WRONG or too_large or not all(map(allowed.holds, found)):
        limit = f", at most {allowed.most:,}" if too_large else ""
        raise InputError(
            f"{title}'s {hyperparameter.name} is {shown(value)}; expected {hyperparameter.expected}{limit}."
        )
    return converted


class _Range(NamedTuple):
    words: str = ""
    holds: Callable[[float], bool] = lambda number: True
    most: float = _LARGEST


def _range(hyperparameter: Hyperparameter) -> _Range:
    """The range of its numbers, with its words after the type's."""
    name = hyperparameter.name
    if hyperparameter.annotation is numbers.Real:  # of a function
        return _Range(most=math.inf)
    if name.endswith("_layers"):
        return _Range(", 0 or more", lambda number: number >= 0, _MOST_REPEATS)
    if name.endswith(("_size", "_dim", "_dims", "_ratio")) or name.startswith("num_"):
        example = ", such as (400, 400) or (64,)" if name.endswith("_dims") else ""
        most = _MOST_REPEATS if name.endswith("_steps") else _LARGEST
        return _Range(f", 1 or more{example}", lambda number: number >= 1, most)
    if name.endswith("_rate"):
        return _Range(" in [0, 1)", lambda number: 0 <= number < 1)
    if name.endswith("_stddev"):
        return _Range(" above 0", lambda number: number > 0)
    return _Range(most=_MOST_REPEATS if name.endswith("_steps") else _LARGEST)


def _words(annotation: Any) -> str:
    """The type in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, arguments))
    if origin is typing.Literal:
        return f"one of {arguments}" if len(arguments) > 1 else repr(arguments[0])
    if origin is tuple and arguments[:1] == (int,):
        return "a tuple of whole numbers"
    words = {
        float: "a number",
        numbers.Real: "a finite number",
        int: "a whole number",
        bool: "True or False",
        str: "a text",
        type(None): "None",
    }
    if annotation in words:
        return words[annotation]
    return getattr(annotation, "__name__", str(annotation))


def _convert(value: Any, annotation: Any) -> Any:
    """The value in the type of the annotation, or `_WRONG`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        results = [_convert(value, argument) for argument in arguments]
        return next((found for found in results if found is not _WRONG), _WRONG)
    if origin is typing.Literal:
        known = (str, type(None), bool, int, float)
        return value if type(value) in known and value in arguments else _WRONG
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return _WRONG
        items = tuple(_convert(item, arguments[0]) for item in value)
        return _WRONG if any(item is _WRONG for item in items) else items
    if annotation in (int, float, numbers.Real):
        kind = numbers.Integral if annotation is int else numbers.Real
        right = isinstance(value, kind) and not isinstance(value, bool)
        right = right and (annotation is int or _is_finite(value))
        make = (lambda number: number) if annotation is numbers.Real else annotation
        return make(value) if right else _WRONG
    kind = origin or annotation  # Of a model outside this package it may be any.
    if kind is Any or not isinstance(kind, type) or isinstance(value, kind):
        return value
    return _WRONG


def _is_finite(number: numbers.Real) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False
