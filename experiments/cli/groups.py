"""Flags in groups, each with a heading in --help."""

import functools

from absl import flags


class Group:
    """Defines flags that --help shows together, in the order of their definition.

    Attributes:
        string, strings, boolean, integer, number, enum: as absl's DEFINE functions;
            `strings` is a repeatable flag.
    """

    def __init__(self, flag_values: flags.FlagValues, heading: str):
        """Makes a group without flags.

        Args:
            flag_values: takes the flags.
            heading: what --help says above them.
        """
        (
            self.string,
            self.strings,
            self.boolean,
            self.integer,
            self.number,
            self.enum,
        ) = (
            functools.partial(define, flag_values=flag_values, module_name=heading)
            for define in (
                flags.DEFINE_string,
                flags.DEFINE_multi_string,
                flags.DEFINE_boolean,
                flags.DEFINE_integer,
                flags.DEFINE_float,
                flags.DEFINE_enum,
            )
        )


def take(flag_values: flags.FlagValues, name: str, other: flags.FlagValues) -> None:
    """Puts a flag that stands in `other` under the same heading here."""
    heading = other.find_module_defining_flag(name) or ""
    flag_values.register_flag_by_module(heading, flag_values[name])


def by_heading(flag_values: flags.FlagValues) -> dict[str, list[flags.Flag]]:
    """The flags of each heading, in the order of their definition; others are 'Flags'."""
    groups: dict[str, list[flags.Flag]] = {}
    for module, found in flag_values.flags_by_module_dict().items():
        # absl calls a group that nobody named by the module that defined it.
        heading = module if module[:1].isupper() else "Flags"
        groups.setdefault(heading, []).extend(found)
    return groups
