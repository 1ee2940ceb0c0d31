"""The one exception that means "what was asked for cannot be done as asked"."""

import difflib
import math
import numbers
import os
import pathlib
from collections.abc import Iterable
from typing import Any

_LONGEST = 80
"""Characters of a value in a message, at most."""


class InputError(ValueError):
    """A mistake in a name, a flag, a file or its contents.

    The message is one line: what was expected, what was found, what to do. Programs
    print it without a traceback and exit with code 2; any other exception is a bug.
    """

    def __init__(self, message: str):
        """Makes it of a message; a name with a line break in it makes no second line."""
        super().__init__(" ".join(message.splitlines()))


def check_one_of(name: str, value: Any, options: Iterable[Any]) -> None:
    """Raises InputError if the value of `name` is none of the options."""
    options = tuple(options)
    if not any(isinstance(value, type(each)) and value == each for each in options):
        raise InputError(
            f"{name} must be one of {options}, found {shown(value)}.{did_you_mean(value, options)}"
        )


def check_type(
    name: str, value: Any, kind: type | tuple[type, ...], expected: str
) -> None:
    """Raises InputError if the value of `name` is of another type.

    Args:
        name: what the value is, such as the name of an argument.
        value: what was found.
        kind: the type, or several.
        expected: what is expected, in words.
    """
    if not isinstance(value, kind):
        raise InputError(f"{name} must be {expected}, found {shown(value)}.")


def whole_number(name: str, value: Any, *, least: int, most: int = 2**63 - 1) -> int:
    """The value of `name`, a whole number in a range.

    Raises:
        InputError: it is another.
    """
    is_number = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        limit = "" if most == 2**63 - 1 else f" and at most {most}"
        raise InputError(
            f"{name} must be a whole number, {least} or more{limit}, found {shown(value)}."
        )
    return int(value)


def number(name: str, value: Any, *, most: float = math.inf) -> float:
    """The value of `name`, a finite number from 0.

    Raises:
        InputError: it is another.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    try:
        right = is_number and 0 <= float(value) <= most and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        right = False
    if not right:
        limit = "" if math.isinf(most) else f" and at most {most}"
        raise InputError(
            f"{name} must be a finite number, 0 or more{limit}, found {shown(value)}."
        )
    return float(value)


def path(name: str, value: Any) -> pathlib.Path:
    """The value of `name`, a path of a file or folder.

    Raises:
        InputError: it is neither text nor a path, or holds a character that no path has.
    """
    check_type(name, value, (str, pathlib.Path), "a path")
    try:
        right = b"\0" not in os.fsencode(value) and str(value)
    except UnicodeEncodeError:
        right = False
    if not right:
        raise InputError(f"{name} must be a path, found {value!r}.")
    return pathlib.Path(value)


def shown(value: Any) -> str:
    """The value in one line for a message, cut off where it is long; of many lines, its type."""
    text = repr(value)
    if "\n" in text:
        return f"one of type {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def closest(word: Any, options: Iterable[Any]) -> str | None:
    """The option that a mistyped or shortened word most likely stands for.

    Upper and lower case are one, and so are `-` and `_`. 'Adam' stands for 'adam',
    'embeding_dim' for 'embedding_dim', 'drop' for 'dropout_rate' and 'lr' for
    'learning_rate'.

    Args:
        word: what was found; only a text resembles an option.
        options: what is accepted; those that are no texts are passed over.

    Returns:
        One of the options, or None if none is close.
    """
    if not isinstance(word, str):
        return None
    plain = {_plain(option): option for option in options if isinstance(option, str)}
    word = _plain(word)
    for fits in (
        lambda option: option == word,
        lambda option: "".join(part[:1] for part in option.split("_")) == word,
        lambda option: option.startswith(word) and len(word) > 2,
    ):
        found = [option for option in plain if fits(option)]
        if found:
            return plain[min(found, key=len)]
    near = difflib.get_close_matches(word, plain, n=1)
    return plain[near[0]] if near else None


def did_you_mean(word: Any, options: Iterable[Any]) -> str:
    """The sentence to add to a message, ' Did you mean X?', or '' if nothing is close."""
    found = closest(word, options)
    return "" if found is None else f" Did you mean {found!r}?"


def install(extra: str) -> str:
    """The command that installs an extra of this project, such as 'data'."""
    return f"pip install -e '.[{extra}]' in the project's folder"


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")
