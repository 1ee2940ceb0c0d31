"""Criteo's click logs: label, 13 integers, 26 categories, tab separated, no header.

The format of the Kaggle challenge of 2014 and of the terabyte logs; empty means missing.
Rows are in time order. Rows to predict may lack the label, as in the challenge's test.txt.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, kept, records, text
from afm_jax.data.formats.dialect import Dialect

NUMBERS = tuple(f"I{index}" for index in range(1, 14))
CATEGORIES = tuple(f"C{index}" for index in range(1, 27))

_TABS = Dialect("\t")
_COLUMNS = {
    formats.LABEL: "label",
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(CATEGORIES, "text"),
}

OPTIONS: tuple[str, ...] = ()


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; the first row of new rows tells whether they have labels."""
    header = dict(_COLUMNS)
    if "kept" in options and records.width(paths[0], _TABS) == len(_COLUMNS) - 1:
        del header[formats.LABEL]
    there = tuple(_named(header))
    names = kept.names(options, there)
    columns.require(str(paths[0]), there, names)
    features = [formats.Column(name, "numeric") for name in NUMBERS]
    features += [formats.Column(name, "categorical") for name in CATEGORIES]
    return formats.Reader(
        formats.Layout("label is 1", tuple(features), order=formats.FILE),
        functools.partial(_parts, header=header, names=names),
    )


def _parts(
    path: pathlib.Path, *, header: Mapping[str, str], names: Sequence[str]
) -> Iterator[formats.Part]:
    for chunk in text.chunks(path, _TABS):
        yield formats.Part(functools.partial(_parse, chunk, header, names), chunk.taken)


def _parse(
    chunk: text.Chunk, header: Mapping[str, str], names: Sequence[str]
) -> pl.DataFrame:
    told = "label, " * (formats.LABEL in header) + "13 numbers, 26 categories"
    frame = delimited.parse(chunk, header, told=told)
    texts = kept.columns(chunk, _named(header), names)
    return frame.with_columns(each.alias(formats.KEPT + each.name) for each in texts)


def _named(header: Mapping[str, str]) -> dict[str, str]:
    """The columns under the names that people know."""
    return {"label" if n == formats.LABEL else n: kind for n, kind in header.items()}
