"""Criteo's click logs: label, 13 integers, 26 categories, tab separated, no header.

The format of the Kaggle challenge of 2014 and of the terabyte logs; empty means missing.
Rows are in time order.
"""

import functools
import pathlib
from collections.abc import Iterator, Sequence

from data import readers, text
from data.readers import delimited

NUMBERS = tuple(f"I{index}" for index in range(1, 14))
CATEGORIES = tuple(f"C{index}" for index in range(1, 27))

_COLUMNS = {
    readers.LABEL: "label",
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(CATEGORIES, "text"),
}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: readers.Options
) -> readers.Reader:
    """The reader; nothing depends on the files or the options."""
    columns = [readers.Column(name, "numeric") for name in NUMBERS]
    columns += [readers.Column(name, "categorical") for name in CATEGORIES]
    return readers.Reader(
        readers.Layout("label is 1", tuple(columns), order=readers.FILE), _parts
    )


def _parts(path: pathlib.Path) -> Iterator[readers.Part]:
    for chunk in text.chunks(path):
        parse = functools.partial(
            *(delimited.parse, chunk, _COLUMNS),
            separator="\t",
            told="label, 13 numbers, 26 categories",
        )
        yield readers.Part(parse, chunk.taken)
