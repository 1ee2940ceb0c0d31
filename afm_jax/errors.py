"""The one exception that means "what was asked for cannot be done as asked"."""

from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """A mistake in a name, a flag, a file or its contents.

    The message is one line: what was expected, what was found, what to do. Programs
    print it without a traceback and exit with code 2; any other exception is a bug.
    """


def check_one_of(name: str, value: Any, options: Iterable[Any]) -> None:
    """Raises InputError if the value of `name` is none of the options."""
    options = tuple(options)
    if value not in options:
        raise InputError(f"{name} must be one of {options}, found {value!r}.")
