"""CSV files with a header: any columns, named by the user.

Values are separated by commas, by tabs if the file's name contains '.tsv'; values with
separators or line ends in them stand in double quotes.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, text

OPTIONS: tuple[str, ...] = columns.OPTIONS


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader of the columns that the options name.

    The options are those of `columns.Chosen`.

    Raises:
        InputError: the options name no label or no columns, or one twice.
    """
    chosen = columns.Chosen.of(options)
    return formats.Reader(
        chosen.layout, functools.partial(_parts, chosen=chosen), names=_names
    )


def header_and_rows(
    path: pathlib.Path, kinds: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], text.Chunk]]:
    """Chunks of a CSV file without its header, each with the kinds of the columns.

    Blanks around a name are not part of it. Columns that `kinds` does not name are unused, and
    may have any names.

    Raises:
        InputError: a column of `kinds` is not in the header, or is there twice.
    """
    header: dict[str, str] = {}
    for chunk in text.chunks(path, csv_separator=separator_of(path)):
        if not header:
            header, chunk = _cut_header(chunk, kinds)
        if chunk.text:
            yield header, chunk


def separator_of(path: pathlib.Path) -> str:
    """A tab for files named .tsv, else a comma."""
    return "\t" if ".tsv" in path.suffixes else ","


def _names(path: pathlib.Path) -> list[str]:
    """The names of the columns of a file."""
    chunks = text.chunks(path, csv_separator=separator_of(path), chunk_bytes=1 << 16)
    return _read_header(next(chunks))[1]


def _read_header(chunk: text.Chunk) -> tuple[delimited.Record, list[str]]:
    """The first record of a chunk, and its values as names."""
    separator = separator_of(chunk.path)
    first = next(delimited.records(chunk, separator=separator, quoted=True))
    return first, [name.strip() for name in first.values]


def _cut_header(
    chunk: text.Chunk, kinds: Mapping[str, str]
) -> tuple[dict[str, str], text.Chunk]:
    first, names = _read_header(chunk)
    columns.require(f"{chunk.path} line {first.line}", names, kinds)
    header = {
        name if name in kinds else f"\0unused {index}": kinds.get(name, "unused")
        for index, name in enumerate(names)
    }
    start = first.stop + 1
    below = chunk._replace(first_line=chunk.line(start), text=chunk.text[start:])
    return header, below


def _parts(path: pathlib.Path, *, chosen: columns.Chosen) -> Iterator[formats.Part]:
    kinds = {
        chosen.label: "signed_label",
        **dict.fromkeys(chosen.numeric, "number"),
        **({chosen.time: "time"} if chosen.time else {}),
    }
    kinds = {**dict.fromkeys(chosen.names, "text"), **kinds}
    for header, chunk in header_and_rows(path, kinds):
        yield formats.Part(
            functools.partial(_parse, chunk, header, chosen), chunk.taken
        )


def _parse(
    chunk: text.Chunk, header: dict[str, str], chosen: columns.Chosen
) -> pl.DataFrame:
    frame = delimited.parse(
        chunk, header, separator=separator_of(chunk.path), quoted=True
    )
    return chosen.select(frame)
