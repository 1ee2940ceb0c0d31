"""LibFM's format: a label, -1 or 0 or 1, then `id:value` for each feature of a row.

Which field a feature belongs to is told by its position, if all rows have the same
number of features, or by its id: `field_sizes` a, b, ... means that ids 0 to a - 1 are
field 0, the next b are field 1, and so on; a row may then have any number of features of
a field. The values are kept if any differs from 1.
"""

import functools
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import numpy as np
import polars as pl

from afm_jax.errors import InputError
from data import readers, text
from data.readers import delimited

_LABEL = "1 is 1; -1 and 0 are 0"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)

OPTIONS: tuple[str, ...] = ("field_sizes", "field_names")


def open_reader(
    paths: Sequence[pathlib.Path], options: readers.Options
) -> readers.Reader:
    """The reader; without `field_sizes`, the first row tells the number of fields.

    Options: field_sizes (numbers of ids), field_names (tuple, or None for field_0, ...).

    Raises:
        InputError: a first row without features, or other names than fields.
    """
    sizes = tuple(options["field_sizes"])
    count = len(sizes) or _features_of_first_row(paths[0])
    names = options["field_names"] or tuple(f"field_{i}" for i in range(count))
    if len(set(names)) < len(names) or min(sizes, default=1) < 1:
        raise InputError(
            f"Field names {','.join(names)} and sizes {','.join(map(str, sizes))}: expected names that differ and sizes of 1 or more."
        )
    if len(names) != count:
        raise InputError(
            f"{paths[0]}: {count} fields, expected {len(names)} ({', '.join(names)})."
        )
    kind = "multi_valued" if sizes else "categorical"
    columns = tuple(readers.Column(name, kind) for name in names)
    parse = (
        functools.partial(_by_range, names=names, sizes=sizes)
        if sizes
        else functools.partial(_by_position, names=names)
    )
    return readers.Reader(
        readers.Layout(_LABEL, columns), functools.partial(_parts, parse=parse)
    )


def _features_of_first_row(path: pathlib.Path) -> int:
    first = next(text.chunks(path, chunk_bytes=1 << 16))
    count = len(first.text[: first.text.index(b"\n")].split()) - 1
    if count < 1:
        raise InputError(f"{path} line 1: no features, expected label id:value ...")
    return count


def _parts(
    path: pathlib.Path, *, parse: Callable[[text.Chunk], pl.DataFrame]
) -> Iterator[readers.Part]:
    for chunk in text.chunks(path):
        yield readers.Part(functools.partial(parse, chunk), chunk.taken)


def _single_blanks(chunk: text.Chunk) -> text.Chunk:
    """The chunk with one space between values and none at the end of a line."""
    if any(blanks in chunk.text for blanks in (b"  ", b"\t", b" \n")):
        plain = re.sub(rb"[ \t]+", b" ", chunk.text).replace(b" \n", b"\n")
        return chunk._replace(text=plain)
    return chunk


def _by_position(chunk: text.Chunk, names: Sequence[str]) -> pl.DataFrame:
    chunk = _single_blanks(chunk)
    frame = delimited.parse(
        chunk,
        {readers.LABEL: "signed_label", **dict.fromkeys(names, "text")},
        separator=" ",
        told=f"label and {len(names)} features; where rows differ in length, --field_sizes tells the fields",
    )
    pairs = frame.select(pl.col(name).str.splitn(":", 2) for name in names)
    ids = pairs.select(
        pl.col(name).struct.field("field_0").alias(name) for name in names
    )
    values = pairs.select(
        pl.col(name).struct.field("field_1").cast(pl.Float32, strict=False).alias(name)
        for name in names
    )
    sound = values.select(pl.all_horizontal(pl.all().is_finite().fill_null(False)))
    numbers = ids.select(
        pl.all_horizontal(pl.all().cast(pl.UInt64, strict=False).is_not_null())
    )
    if not (sound.to_series() & numbers.to_series()).all():
        _explain(chunk)
    frame = ids.insert_column(0, frame[readers.LABEL])
    if values.select(pl.all_horizontal((pl.all() == 1).all())).item():
        return frame
    return frame.hstack([values[name].alias(readers.VALUES + name) for name in names])


def _by_range(
    chunk: text.Chunk, names: Sequence[str], sizes: Sequence[int]
) -> pl.DataFrame:
    chunk = _single_blanks(chunk)
    lines = pl.Series(delimited.decode(chunk).removesuffix("\n").split("\n"))
    rows = lines.to_frame("line").select(
        pl.col("line").str.splitn(" ", 2).struct.rename_fields(["label", "features"])
    )
    rows = rows.unnest("line").with_row_index("row")
    tokens = (
        rows.lazy()
        .drop_nulls("features")
        .select("row", pl.col("features").str.split(" "))
        .explode("features")
        .select("row", pl.col("features").str.splitn(":", 2))
        .unnest("features")
        .select(
            "row",
            pl.col("field_0").alias("id"),
            pl.col("field_0").cast(pl.UInt64, strict=False).alias("number"),
            pl.col("field_1").cast(pl.Float32, strict=False).alias("value"),
        )
        .collect()
    )
    labels = rows["label"].cast(pl.Float32, strict=False)
    ends = list(itertools.accumulate(sizes))
    if (
        tokens["number"].has_nulls()
        or not tokens["value"].is_finite().fill_null(False).all()
        or not labels.is_in([-1.0, 0.0, 1.0]).fill_null(False).all()
        or (tokens["number"].max() or 0) >= ends[-1]
    ):
        _explain(chunk, ends[-1])
    field = np.searchsorted(ends, tokens["number"].to_numpy(), side="right")
    tokens = tokens.with_columns(pl.Series("field", field))
    frame = rows.select("row", (labels > 0).cast(pl.Float32).alias(readers.LABEL))
    plain = (tokens["value"] == 1).all()
    for index, name in enumerate(names):
        lists = (
            tokens.filter(pl.col("field") == index)
            .group_by("row", maintain_order=True)
            .agg(pl.col("id").alias(name), pl.col("value").alias(readers.VALUES + name))
        )
        lists = lists.drop(readers.VALUES + name) if plain else lists
        frame = frame.join(lists, on="row", how="left", maintain_order="left")
    return frame.drop("row")


def _explain(chunk: text.Chunk, limit: int | None = None) -> NoReturn:
    """Raises an InputError that names the first bad label or feature."""
    for line, row in enumerate(chunk.text.decode().splitlines(), chunk.first_line):
        label, *tokens = row.split(" ")
        where = f"{chunk.path} line {line}"
        if not _NUMBER.fullmatch(label) or float(label) not in (-1, 0, 1):
            raise InputError(f"{where}: the label is {label!r}, expected -1, 0 or 1.")
        for token in tokens:
            number, _, value = token.partition(":")
            if not (number.isdecimal() and _NUMBER.fullmatch(value)):
                raise InputError(f"{where}: {token!r}, expected id:value, two numbers.")
            if limit is not None and int(number) >= limit:
                raise InputError(
                    f"{where}: id {number}, expected less than {limit}, the sum of the field sizes."
                )
    raise InputError(f"{chunk.path}, from line {chunk.first_line}: values too large.")
