"""Criteo's click logs: label, 13 integers, 26 categories, tab separated, no header.

The format of the Kaggle challenge of 2014 and of the terabyte logs; empty means missing.
Rows are in time order.
"""

import functools
import pathlib
from collections.abc import Iterator, Sequence

from afm_jax.data import formats
from afm_jax.data.formats import delimited, text
from afm_jax.data.formats.dialect import Dialect

NUMBERS = tuple(f"I{index}" for index in range(1, 14))
CATEGORIES = tuple(f"C{index}" for index in range(1, 27))

_COLUMNS = {
    formats.LABEL: "label",
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(CATEGORIES, "text"),
}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; nothing depends on the files or the options."""
    columns = [formats.Column(name, "numeric") for name in NUMBERS]
    columns += [formats.Column(name, "categorical") for name in CATEGORIES]
    return formats.Reader(
        formats.Layout("label is 1", tuple(columns), order=formats.FILE), _parts
    )


def _parts(path: pathlib.Path) -> Iterator[formats.Part]:
    for chunk in text.chunks(path, Dialect("\t")):
        parse = functools.partial(
            delimited.parse,
            chunk,
            _COLUMNS,
            told="label, 13 numbers, 26 categories",
        )
        yield formats.Part(parse, chunk.taken)
