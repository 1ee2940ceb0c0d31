"""Which roles columns have: each one, and fields of the time beside them."""

from typing import TYPE_CHECKING

from afm_jax.data.formats import times
from afm_jax.errors import InputError

if TYPE_CHECKING:
    from afm_jax.data.formats.columns import Chosen

_ROLES = ("label", "weight", "categorical", "numeric", "multi_valued")


def check(chosen: "Chosen") -> None:
    """Raises InputError if a column has two roles, none is a feature, or fields clash."""
    _check_each(chosen)
    _check_time(chosen)


def _check_each(chosen: "Chosen") -> None:
    if not (*chosen.categorical, *chosen.numeric, *chosen.multi_valued):
        raise InputError(
            "Which columns are features? Give --categorical, --numeric or --multi_valued=NAME,NAME,..."
        )
    names = [name for name, role in chosen.roles if role != "time"]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"Column {twice[0]!r} is named twice; give it one role of: {', '.join(_ROLES[:-1])} or {_ROLES[-1]}."
        )
    if chosen.time in {*names} - {*chosen.numeric}:
        raise InputError(
            f"Column {chosen.time!r} is the time and the label, the weight or a category; a time may be a numeric column as well, but no other. Copy the column under another name."
        )


def _check_time(chosen: "Chosen") -> None:
    strange = [name for name in chosen.time_fields if name not in times.FIELDS]
    if strange:
        raise InputError(
            f"--time_fields: {strange[0]!r} is none of {', '.join(times.FIELDS)}."
        )
    if len(set(chosen.time_fields)) < len(chosen.time_fields):
        raise InputError(f"--time_fields={','.join(chosen.time_fields)}: one is twice.")
    if chosen.time_fields and not chosen.time:
        raise InputError("--time_fields needs --time, the column of times.")
    if chosen.time_unit and not chosen.time_fields:
        raise InputError("--time_unit has no meaning without --time_fields.")
    clash = {*chosen.names} & {*chosen.names_of_time_fields}
    if clash:
        raise InputError(
            f"--time_fields makes a field {min(clash)!r}, and a column has that name; rename the column."
        )
