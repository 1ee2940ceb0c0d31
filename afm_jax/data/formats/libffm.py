"""LibFFM's format: a label, then `field:feature:value` for each feature of a row.

A row may have any number of features of a field, in any order. Fields are found by a look
through all files and stand in the order of their numbers; an id is a feature of its field
alone. The numbers 7, 07 and +7 are one. The values are kept if any differs from 1.
"""

import functools
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, labels, text, tokens
from afm_jax.data.formats.dialect import Dialect, encoding_of
from afm_jax.data.formats.labels import Labels
from afm_jax.errors import InputError

OPTIONS: tuple[str, ...] = (
    "field_names",
    "field_numbers",
    "encoding",
    *labels.OPTIONS,
)

_FORM = "field:feature:value, three numbers"
_FIELD = re.compile(rb"(?:^|[ \t])\+?0*(\d{1,20}):\+?\d+:", re.MULTILINE)
_MOST_FIELDS = 10_000


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader of the fields that any row has.

    Options: field_numbers (those of the fields, if they are known, as for new rows; then
    features of other fields are left out), field_names (tuple in the order of the fields' numbers, or None for field_3 of
    number 3, ...), encoding (of the files), and the rule for labels.

    Raises:
        InputError: no row has features, there are too many fields, or other names than
            fields, or a name that polars takes for a pattern.
    """
    written = Dialect(" ", encoding=encoding_of(options))
    labelled = tokens.are_labelled(paths[0], written, options)
    rule = Labels.of(options)
    parts = functools.partial(_parts, written=written, rule=rule if labelled else None)
    found = {*(options.get("field_numbers") or ())}
    found = found or {field for path in paths for field in _fields(path, written)}
    if not found:
        for part in parts(paths[0], names=(), fields=np.zeros(0)):
            part.parse()  # finds what is wrong with the first feature
        raise InputError(
            f"{paths[0]} line 1: neither this row nor a later one has features, expected {_FORM}."
        )
    fields = np.array(sorted(found), np.uint64)
    names = options["field_names"] or tuple(f"field_{field}" for field in sorted(found))
    if len(names) != len(fields) or len(set(names)) < len(names):
        raise InputError(
            f"{paths[0]}: {len(fields)} fields, expected {len(names)} that differ ({', '.join(names)})."
        )
    columns.refuse_patterns(names)
    listed = tuple(formats.Column(name, "multi_valued") for name in names)
    return formats.Reader(
        tokens.layout(listed, rule),
        functools.partial(parts, names=names, fields=fields),
        check=lambda texts: rule.check(),
        resolved={"field_numbers": tuple(sorted(found))},
    )


def _fields(path: pathlib.Path, written: Dialect) -> set[int]:
    """The numbers of the fields of a file."""
    found: set[int] = set()
    for chunk in text.chunks(path, written):
        numbers = map(int, set(_FIELD.findall(chunk.text)))
        found.update(number for number in numbers if number < 1 << 64)
        if len(found) > _MOST_FIELDS:
            raise InputError(
                f"{path}: more than {_MOST_FIELDS:,} fields up to line {chunk.first_line}; expected label {_FORM} ..."
            )
    return found


def _parts(
    path: pathlib.Path,
    *,
    written: Dialect,
    rule: Labels | None,
    names: Sequence[str],
    fields: np.ndarray,
) -> Iterator[formats.Part]:
    for chunk in text.chunks(path, written):
        parse = functools.partial(_parse, chunk, names, fields, rule)
        yield formats.Part(parse, chunk.taken)


def _parse(
    chunk: text.Chunk, names: Sequence[str], fields: np.ndarray, rule: Labels | None
) -> pl.DataFrame:
    chunk = tokens.single_blanks(chunk)
    label, found = tokens.split(chunk, ["field", "number"], rule)
    if found is None:
        tokens.explain(chunk, labelled=rule is not None, form=_FORM)
    numbers = found["field"].to_numpy()
    field = np.searchsorted(fields, numbers)
    known = fields.take(field, mode="clip") == numbers
    return tokens.frame(label, found.filter(known), field[known], names)
