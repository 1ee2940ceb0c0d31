"""Rows of a label and any number of features, as libFM and libFFM write them.

A feature is a token of whole numbers and, last, its value, with colons between them. One
or more blanks stand between tokens.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import joins, records, refusals, text
from afm_jax.data.formats.dialect import Dialect
from afm_jax.data.formats.labels import Labels
from afm_jax.errors import InputError

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\+?\d+", re.ASCII)


def layout(fields: tuple[formats.Column, ...], rule: Labels) -> formats.Layout:
    """The layout of such rows with these fields."""
    told = rule.told("the label", by_default="1 is 1; -1 and 0 are 0")
    return formats.Layout(told, fields, label_kind=rule.kind)


def are_labelled(
    path: pathlib.Path, written: Dialect, options: formats.Options
) -> bool:
    """Whether the rows of a file have labels, by the first one.

    Only those to predict may have none, for which the options have 'kept': their first
    token is then a feature.
    """
    if "kept" not in options:
        return True
    first = next(text.chunks(path, written, chunk_bytes=1 << 16)).text
    return b":" not in first.split(b"\n", 1)[0].split(maxsplit=1)[0]


def single_blanks(chunk: text.Chunk) -> text.Chunk:
    """The chunk with one space between tokens and none at the end of a line."""
    if any(blanks in chunk.text for blanks in (b"  ", b"\t", b" \n")):
        plain = re.sub(rb"[ \t]+", b" ", chunk.text).replace(b" \n", b"\n")
        return chunk._replace(text=plain)
    return chunk


def split(
    chunk: text.Chunk, parts: Sequence[str], rule: Labels | None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The labels and the tokens of a chunk.

    Args:
        chunk: rows with single blanks.
        parts: names of the whole numbers of a token.
        rule: for the labels; None for rows without.

    Returns:
        A frame of the labels, if there are any, and of the `row`s; and a frame of the tokens in order: their `row`, the parts
        (UInt64) and `value` (Float32). None for the frame if something is wrong, or if a
        row has a token twice, whatever its value; then call `explain`.

    Raises:
        InputError: bytes that are not UTF-8, or a label that the rule refuses.
    """
    lines = pl.Series(records.decode(chunk).removesuffix("\n").split("\n"))
    rows = lines.replace("", None).to_frame("features")
    if rule is not None:
        names = [formats.LABEL, "features"]
        line = pl.col("features").str.splitn(" ", 2)
        rows = rows.select(line.struct.rename_fields(names)).unnest("features")
    rows = rows.with_row_index("row")
    kinds = {**dict.fromkeys(parts, pl.UInt64), "value": pl.Float32}
    tokens = (
        rows.lazy()
        .drop_nulls("features")
        .select("row", pl.col("features").str.split(" "))
        .explode("features")
        .select("row", pl.col("features").str.splitn(":", len(kinds)))
        .unnest("features")
        .select(
            "row",
            *(
                pl.col(f"field_{place}").cast(kind, strict=False).alias(name)
                for place, (name, kind) in enumerate(kinds.items())
            ),
        )
        .collect()
    )
    labels = rows.select("row")
    if rule is not None:
        refuse = refusals.in_chunk(chunk, [formats.LABEL])
        read = rule.read(rows[formats.LABEL], refuse)
        labels = labels.with_columns(read.alias(formats.LABEL))
    sound = (
        not any(tokens.select(parts).null_count().row(0))
        and tokens["value"].is_finite().fill_null(False).all()
        and not _holds_twice(tokens, ["row", *parts])
    )
    return labels, tokens if sound else None


def frame(
    found: pl.DataFrame, tokens: pl.DataFrame, fields: np.ndarray, names: Sequence[str]
) -> pl.DataFrame:
    """The labels if there are any, and a list of ids for each field, with their values if any is not 1.

    Args:
        found: the `row`s, and their labels.
        tokens: of the rows, with a `number` that is the id.
        fields: int64 [len(tokens)], the index of the field of each.
        names: of the fields.
    """
    tokens = tokens.with_columns(pl.Series("index", fields))
    plain = (tokens["value"] == 1).all()
    for index, name in enumerate(names):
        lists = (
            tokens.filter(pl.col("index") == index)
            .group_by("row", maintain_order=True)
            .agg(
                pl.col("number").cast(pl.String).alias(name),
                pl.col("value").alias(formats.VALUES + name),
            )
        )
        lists = lists.drop(formats.VALUES + name) if plain else lists
        found = joins.add_columns(found, lists, on="row")
    return found.drop("row")


def explain(
    chunk: text.Chunk,
    *,
    labelled: bool,
    form: str,
    limit: int = 1 << 64,
    most: str = "2^64",
) -> NoReturn:
    """Raises an InputError that names the first bad token.

    Args:
        chunk: rows with single blanks, in UTF-8.
        labelled: whether they have labels.
        form: of a token, such as 'id:value', in words.
        limit: the numbers of a token are below it.
        most: the limit in words.
    """
    lines = chunk.text.decode().removesuffix("\n").split("\n")
    for line, row in enumerate(lines, chunk.first_line):
        tokens = row.split(" ")[labelled:]
        place = f"{chunk.path} line {line}"
        seen = set()
        for column, token in enumerate(tokens, 1 + labelled):
            where = f"{place}, column {column}"
            numbers = _numbers(token, where, form)
            for number in numbers:
                if len(number) > 20 or int(number) >= limit:
                    raise InputError(
                        f"{where}: id {number:.30}, expected less than {limit}, {most}."
                    )
            told = ":".join(numbers)
            if told in seen:
                raise InputError(f"{where}: id {told} is there twice.")
            seen.add(told)
    raise InputError(f"{chunk.path}, from line {chunk.first_line}: no rows of {form}.")


def _numbers(token: str, where: str, form: str) -> list[str]:
    """The whole numbers of a token in their shortest form.

    Raises:
        InputError: it is not of the form, or its value is too large.
    """
    *numbers, value = token.split(":")
    right = len(numbers) == form.count(":") and _NUMBER.fullmatch(value)
    if not right or not all(map(_WHOLE.fullmatch, numbers)):
        raise InputError(f"{where}: {text.shown(token)}, expected {form}.")
    if abs(float(value)) > float(np.finfo(np.float32).max):
        raise InputError(
            f"{where}: {text.shown(token)}, expected a value of at most 3.4e38."
        )
    return [number.lstrip("+0") or "0" for number in numbers]


def _holds_twice(tokens: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether two tokens have equal keys, the first of which never falls."""
    rises = np.zeros(max(tokens.height - 1, 0), bool)
    equal = ~rises
    for key in keys:
        numbers = tokens[key].to_numpy()
        rises |= equal & (numbers[1:] > numbers[:-1])
        equal &= numbers[1:] == numbers[:-1]
    return not rises.all() and tokens.n_unique(keys) < tokens.height
