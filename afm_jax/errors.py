"""The one exception that means "what was asked for cannot be done as asked"."""

import difflib
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
        raise InputError(
            f"{name} must be one of {options}, found {value!r}.{did_you_mean(value, options)}"
        )


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
