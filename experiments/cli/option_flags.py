"""Options of the data readers as flags."""

from collections.abc import Callable, Iterable
from typing import Any

from absl import flags

from experiments.cli.groups import Group


def define(options: Iterable[Any], group: Group, *, help: Callable[[Any], str]) -> None:
    """Defines a flag of each option's name and type, which is None if it is not given.

    Args:
        options: as `afm_jax.data.formats.Option`.
        group: where to define them.
        help: gives the help of an option.
    """
    like = {bool: group.boolean, int: group.integer, tuple: group.items}
    for option in options:
        of_type = like.get(type(option.default), group.string)
        of_type(option.name, None, help(option))


def given(options: Iterable[Any], flag_values: flags.FlagValues) -> dict[str, Any]:
    """The values of the flags of these options that were given."""
    values = {option.name: flag_values[option.name].value for option in options}
    return {name: value for name, value in values.items() if value is not None}
