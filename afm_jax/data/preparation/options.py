"""The options of a preparation: what there are, and which have a meaning together."""

import logging
import numbers
from collections.abc import Collection, Mapping
from typing import Any

from afm_jax.data import fields
from afm_jax.data.formats import dialect
from afm_jax.data.preparation import splits
from afm_jax.errors import InputError
from afm_jax.features import Schema

DEFAULTS: Mapping[str, Any] = {
    **{option.name: option.default for option in fields.options()},
    "split": None,
    "fractions": None,
    "seed": 0,
    "label": None,
    "positive": None,
    "positive_from": None,
    "real_labels": False,
    "weight": None,
    "categorical": (),
    "numeric": (),
    "multi_valued": (),
    "separator": "|",
    "time": None,
    "time_fields": (),
    "time_unit": None,
    **{option.name: option.default for option in dialect.OPTIONS},
    "field_sizes": (),
    "field_names": None,
    "field_numbers": (),
}
"""All options of a preparation.

`split` None: given files, else random. `fractions` None: see `splits.resolve_fractions`.
"""

_LISTS_TOO = ("fractions", "separator", "field_names")
"""What may be a list, although the default is none."""

_ITEMS = {"fractions": numbers.Real, "field_sizes": int, "field_numbers": int}
"""What lists have in place of texts."""

HOW_TO_SPLIT = ("split", "fractions", "seed")
"""Those that say how rows are split that are not split yet."""

FOR_ALL = (*(option.name for option in fields.options()), *HOW_TO_SPLIT)
"""Those that every source has."""

_log = logging.getLogger(__name__)

_LEAST = {**{option.name: option.least for option in fields.options()}, "seed": 0}


def resolve(
    source: str,
    given: Mapping[str, Any],
    known: Collection[str],
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """All options, those that are not given at their defaults.

    Args:
        source: what is read, for errors.
        given: options by name.
        known: the names of those that the source has.
        defaults: those that differ from `DEFAULTS`.

    Raises:
        InputError: an option that the source does not have, or a value out of range.
    """
    strange = [name for name in given if name not in known]
    if strange:
        raise InputError(
            f"--{strange[0]} has no meaning for {source}; its options are {', '.join(known)}."
        )
    options = {**DEFAULTS, **defaults, **given}
    if options["split"] not in (None, "random", "time"):
        raise InputError(f"split is {options['split']!r}, expected random or time.")
    if "seed" in given and options["split"] == "time":
        raise InputError("--seed has no meaning for --split=time.")
    for name, least in _LEAST.items():
        if isinstance(options[name], int) and options[name] < least:
            raise InputError(f"--{name}={options[name]}, expected at least {least}.")
    return options


def stored(schema: Schema) -> dict[str, Any]:
    """All options as the schema of a store or a run tells them, the others at their defaults.

    Raises:
        InputError: one is of a type that it cannot have.
    """
    found = dict(DEFAULTS)
    for name, value in schema.options.items():
        if name not in DEFAULTS or value is None:
            continue
        if not _fits(name, value):
            raise InputError(
                f"The schema of {schema.dataset} is damaged: its option {name} cannot be {value!r}."
            )
        found[name] = value
    return found


def _fits(name: str, value: Any) -> bool:
    """Whether an option may have a value, by its type."""
    default = DEFAULTS[name]
    if isinstance(value, list | tuple):
        several = isinstance(default, tuple) or name in _LISTS_TOO
        return several and all(_is_a(_ITEMS.get(name, str), each) for each in value)
    if name == "positive_from":
        return _is_a(numbers.Real, value)
    return _is_a(str if default is None else type(default), value)


def _is_a(kind: type, value: Any) -> bool:
    """Whether a value is of a type; True and False are no numbers."""
    kind = numbers.Integral if kind is int else kind
    return isinstance(value, kind) and isinstance(value, bool) == (kind is bool)


def refuse_idle(given: Collection[str], used: Collection[str]) -> None:
    """Raises InputError for a given option of a kind of field that no column has.

    Args:
        given: names of options.
        used: the kinds of all columns.
    """
    for name, kind in fields.kinds().items():
        for option in kind.options:
            if option.name in given and name not in used:
                raise InputError(
                    f"--{option.name} has no meaning without --numeric_as={name}."
                )


def how_to_split(
    given: Collection[str | None], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options split, fractions and seed, as far as they have a meaning.

    Args:
        given: the split of each file or frame, None for one that is to be split.
        options: of the preparation.

    Raises:
        InputError: as `splits.resolve_fractions`.
    """
    if None not in given:
        return {"split": None, "fractions": None, "seed": None}
    fractions = splits.resolve_fractions(
        options["fractions"], given_test="test" in given
    )
    if "test" in given:
        _log.info(
            "There is no validation file: %g%% of the training rows are held out for validation.",
            100 * fractions[1],
        )
    how = options["split"] or "random"
    return {"split": how, "fractions": fractions, "seed": options["seed"]}
