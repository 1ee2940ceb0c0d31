"""Options of the data readers as flags."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from absl import flags

_LIKE: Mapping[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    tuple: flags.DEFINE_list,
}


def define(
    options: Iterable[Any],
    flag_values: flags.FlagValues,
    *,
    help: Callable[[Any], str],
) -> None:
    """Defines a flag of each option's name and type, which is None if it is not given.

    Args:
        options: as `afm_jax.data.formats.Option`.
        flag_values: where to define them.
        help: gives the help of an option.
    """
    for option in options:
        of_type = _LIKE.get(type(option.default), flags.DEFINE_string)
        of_type(option.name, None, help(option), flag_values=flag_values)


def given(options: Iterable[Any], flag_values: flags.FlagValues) -> dict[str, Any]:
    """The values of the flags of these options that were given."""
    values = {option.name: flag_values[option.name].value for option in options}
    return {name: value for name, value in values.items() if value is not None}
