"""The options of a preparation as Python gives them, in the form that programs give."""

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from afm_jax.errors import InputError, check_type, number, shown

_NAMES = ("categorical", "numeric", "multi_valued", "time_fields", "na_values")
_TEXTS = ("time", "weight", "split", "time_unit")


def plain(name: str, value: Any, default: Any) -> Any:
    """An option as the programs give it: what is said of columns, as texts.

    Args:
        name: of the option.
        value: what was given.
        default: its default, whose type tells what it may be.

    Raises:
        InputError: the value is of another type.
    """
    if name == "label":
        check_type(name, value, str, "the name of a column")
    elif value is None and default is None:
        return None
    elif name in _TEXTS:
        check_type(name, value, str, "a text")
    elif name == "positive":
        check_type(name, value, (str, numbers.Real), "a text or a number")
        return str(value)
    elif name == "positive_from":
        # Negative numbers, and whatever else the labels tell, are refused by these.
        check_type(name, value, numbers.Real, "a number")
        return float(value)
    elif name == "fractions":
        check_type(name, value, Sequence, "two or three numbers, such as (0.8, 0.2)")
        return tuple(number("a number of fractions", each, most=1) for each in value)
    elif isinstance(default, bool):
        check_type(name, value, bool, "True or False")
    elif isinstance(default, int):
        if isinstance(value, bool):
            raise InputError(f"{name} must be a whole number, found {value}.")
        check_type(name, value, numbers.Integral, "a whole number")
        return int(value)
    elif name == "separator":
        return value if isinstance(value, str) else texts(name, value)
    elif isinstance(value, Mapping) and name not in _NAMES:
        return tuple(f"{column}:{each}" for column, each in value.items())
    else:
        return texts(name, value)
    return value


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Texts, of which one alone may be given; whole numbers are texts, too.

    Raises:
        InputError: the value holds anything else.
    """
    if isinstance(value, str | numbers.Integral) and not isinstance(value, bool):
        return (str(value),)
    is_list = isinstance(value, Iterable) and getattr(value, "ndim", 1) == 1
    found = tuple(value) if is_list else (None,)
    if isinstance(value, bytes) or not all(
        isinstance(each, str | numbers.Integral) for each in found
    ):
        raise InputError(f"{name} must be a list of texts, found {shown(value)}.")
    return tuple(str(each) for each in found)
