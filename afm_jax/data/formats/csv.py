"""CSV files with a header: any columns, named by the user.

Values are separated by commas, by tabs if the file's name contains '.tsv'; values with
separators or line ends in them stand in double quotes.
"""

import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, refusals, text, times
from afm_jax.errors import InputError

OPTIONS: tuple[str, ...] = columns.OPTIONS


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader of the columns that the options name.

    The options are those of `columns.Chosen`. The first row of the first file tells
    whether times are dates or numbers.

    Raises:
        InputError: the options name no label or no columns, or one twice.
    """
    chosen = columns.Chosen.of(options, lambda: _names(paths[0]))
    dated = chosen.time is not None and _is_dated(paths[0], chosen)
    return formats.Reader(
        chosen.layout,
        functools.partial(_parts, chosen=chosen, dated=dated),
        check=lambda texts: chosen.labels.check(),
        names=_names,
        resolved={"categorical": chosen.categorical},
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


def _is_dated(path: pathlib.Path, chosen: columns.Chosen) -> bool:
    """Whether the times are dates, by the first row; numbers if there is none."""
    chunk = next(
        text.chunks(path, csv_separator=separator_of(path), chunk_bytes=1 << 16)
    )
    records = delimited.records(chunk, separator=separator_of(path), quoted=True)
    names = [name.strip() for name in next(records).values]
    first = dict(
        zip(names, next(records, delimited.Record(0, 0, [])).values, strict=False)
    )
    dated = times.is_date(first.get(chosen.time or "", ""))
    if dated and chosen.time in chosen.numeric:
        raise InputError(
            f"Column {chosen.time!r} holds dates, and a numeric column holds numbers; give --time_fields for what dates tell."
        )
    if first:
        chosen.refuse_time_unit("dates" if dated else "numbers")
    return dated


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


def _parts(
    path: pathlib.Path, *, chosen: columns.Chosen, dated: bool
) -> Iterator[formats.Part]:
    kinds = dict.fromkeys(chosen.names, "text")
    kinds |= dict.fromkeys(chosen.numeric, "number")
    if chosen.weight:
        kinds[chosen.weight] = "number"
    if chosen.time and not dated:
        kinds[chosen.time] = "time"
    for header, chunk in header_and_rows(path, kinds):
        yield formats.Part(
            functools.partial(_parse, chunk, header, chosen, dated), chunk.taken
        )


def _parse(
    chunk: text.Chunk, header: dict[str, str], chosen: columns.Chosen, dated: bool
) -> pl.DataFrame:
    separator = separator_of(chunk.path)
    frame = delimited.parse(chunk, header, separator=separator, quoted=True)
    refuse = refusals.in_chunk(chunk, tuple(header), separator=separator, quoted=True)
    wall = None
    if chosen.time and dated:
        order, wall = times.of_text(frame[chosen.time], refuse)
        frame = frame.with_columns(order.alias(chosen.time))
    elif chosen.time and chosen.time_fields:
        unit = chosen.time_unit or ""
        wall = times.wall_of_numbers(frame[chosen.time], unit, refuse)
    return chosen.select(frame, refuse, wall)
