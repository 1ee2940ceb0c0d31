"""CSV files: any columns, named by the user.

`dialect.OPTIONS` are the options that say how the files are written. If none is given,
values are separated by commas, by tabs if the file's name contains '.tsv'; values with
delimiters or line ends in them stand in double quotes; and the first record is the header.
"""

import contextlib
import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import (
    columns,
    delimited,
    dialect,
    kept,
    records,
    refusals,
    text,
    times,
)
from afm_jax.data.formats.dialect import Dialect
from afm_jax.errors import InputError

OPTIONS: tuple[str, ...] = tuple(
    dict.fromkeys([*columns.OPTIONS, *(option.name for option in dialect.OPTIONS)])
)

_DELIMITERS = ";\t|, "
"""What is looked for in a header that lacks columns."""


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader of the columns that the options name.

    The options are those of `columns.Chosen` and of `Dialect.of_csv`. The headers of all
    files are read, and the first row tells whether times are dates or numbers.

    Raises:
        InputError: the options name no label or no columns, or one twice; they describe
            no dialect; or a file has not the columns.
    """
    written = Dialect.of_csv(options)
    chosen = columns.Chosen.of(options, lambda: names(paths[0], written))
    named = {path: names(path, written, chosen.names) for path in paths}
    dated = chosen.time is not None and _is_dated(paths[0], written, chosen)
    return formats.Reader(
        chosen.layout,
        functools.partial(_parts, chosen=chosen, written=written, dated=dated),
        check=lambda texts: chosen.labels.check(),
        names=named.__getitem__,
        resolved={"categorical": chosen.categorical},
    )


def header_and_rows(
    path: pathlib.Path,
    kinds: Mapping[str, str],
    written: Dialect = dialect.CSV,
) -> Iterator[tuple[dict[str, str], text.Chunk]]:
    """Chunks of a CSV file without its header, each with the kinds of the columns.

    Blanks around a name are not part of it. Columns that `kinds` does not name are unused, and
    may have any names.

    Raises:
        InputError: a column of `kinds` is not in the header, or is there twice.
    """
    header: dict[str, str] = {}
    for chunk in text.chunks(path, written):
        if not header:
            header, chunk = _cut_header(chunk, kinds)
        if chunk.text:
            yield header, chunk


def names(
    path: pathlib.Path, written: Dialect = dialect.CSV, wanted: Sequence[str] = ()
) -> list[str]:
    """The names of the columns of a file.

    Raises:
        InputError: the file has not those that are wanted; it tells which option may help.
    """
    chunk, found = next(text.chunks(path, written, chunk_bytes=1 << 16)), list[str]()
    try:
        first, found = _read_header(chunk)
        columns.require(f"{path} line {first.line}", found, wanted)
    except InputError as error:
        raise InputError(f"{error}{_advice(chunk, found, wanted)}") from None
    return found


def _is_dated(path: pathlib.Path, written: Dialect, chosen: columns.Chosen) -> bool:
    """Whether the times are dates, by the first row; numbers if there is none."""
    chunks = text.chunks(path, written, chunk_bytes=1 << 16)
    chunk = next(chunks)
    names = _read_header(chunk)[1]
    # The header may be a chunk by itself: before the only row, or before a long one.
    found = itertools.chain.from_iterable(
        map(records.of, itertools.chain([chunk], chunks))
    )
    row = next(itertools.islice(found, int(written.header), None), None)
    first = dict(zip(names, row.values, strict=False)) if row else {}
    dated = times.is_date(first.get(chosen.time or "", ""))
    if dated and chosen.time in chosen.numeric:
        raise InputError(
            f"Column {chosen.time!r} holds dates, and a numeric column holds numbers; give --time_fields for what dates tell."
        )
    if first:
        chosen.refuse_time_unit("dates" if dated else "numbers")
    return dated


def _read_header(chunk: text.Chunk) -> tuple[records.Record, list[str]]:
    """The first record of a chunk, and the names of the columns."""
    first = next(records.of(chunk))
    if not chunk.dialect.header:
        return first, [str(place) for place in range(len(first.values))]
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
    if not chunk.dialect.header:
        return header, chunk
    start = first.stop + 1
    below = chunk._replace(first_line=chunk.line(start), text=chunk.text[start:])
    return header, below


def _advice(chunk: text.Chunk, names: Sequence[str], wanted: Sequence[str]) -> str:
    """Which option may help where columns that are wanted are not there, if any may.

    No names are given if a quote is in a wrong place, as one is if the delimiter is wrong.
    """
    for delimiter in _DELIMITERS.replace(chunk.dialect.delimiter, ""):
        other = dataclasses.replace(chunk.dialect, delimiter=delimiter)
        with contextlib.suppress(InputError):  # a quote in the wrong place
            found = _read_header(chunk._replace(dialect=other))[1]
            split = len(names) <= 1 < len(found) and delimiter != " "
            if split or {*wanted} <= {*found}:
                told = dialect.shown(delimiter)
                return f" The values seem to be separated by {told}: give --delimiter={told}."
    if names and not chunk.dialect.header:
        return " With --header=false, columns are named by their place, from 0 on."
    # pandas writes its index as a first column without a name.
    if any(
        (place and not name) or delimited.is_number(name, chunk.dialect.decimal)
        for place, name in enumerate(names)
    ):
        return " If the first line is a row of data, give --header=false; columns are then named by their place, from 0 on."
    return ""


def _parts(
    path: pathlib.Path, *, chosen: columns.Chosen, written: Dialect, dated: bool
) -> Iterator[formats.Part]:
    # What is kept is read once, as it stands, where missing values are told by a rule alone.
    kinds = dict.fromkeys(chosen.names, "text")
    if not written.na_values:
        kinds |= dict.fromkeys(chosen.kept, "raw")
    kinds |= dict.fromkeys(chosen.numeric, "number")
    if chosen.weight:
        kinds[chosen.weight] = "number"
    if chosen.time and not dated:
        kinds[chosen.time] = "time"
    for header, chunk in header_and_rows(path, kinds, written):
        yield formats.Part(
            functools.partial(_parse, chunk, header, chosen, dated), chunk.taken
        )


def _parse(
    chunk: text.Chunk, header: dict[str, str], chosen: columns.Chosen, dated: bool
) -> pl.DataFrame:
    written = chunk.dialect
    in_quotes = f"a number with a {written.decimal!r} stands in quotes where that is the delimiter, too"
    told = in_quotes if written.delimiter == written.decimal else ""
    frame = delimited.parse(chunk, header, told=told)
    other = [name for name in chosen.kept if header[name] != "raw"]
    texts = {name: frame[name] for name in chosen.kept if name not in other}
    texts |= zip(other, kept.columns(chunk, header, other), strict=True)
    refuse, wall = refusals.in_chunk(chunk, tuple(header)), None
    if chosen.time and dated:
        order, wall = times.of_text(frame[chosen.time], refuse)
        frame = frame.with_columns(order.alias(chosen.time))
    elif chosen.time and chosen.time_fields:
        unit = chosen.time_unit or ""
        wall = times.wall_of_numbers(frame[chosen.time], unit, refuse)
    return chosen.select(frame, refuse, wall).with_columns(
        texts[name].alias(formats.KEPT + name) for name in chosen.kept
    )
