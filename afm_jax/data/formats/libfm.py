"""LibFM's format: a label, then `id:value` for each feature of a row.

Which field a feature belongs to is told by its position, if all rows have the same
number of features, or by its id: `field_sizes` a, b, ... means that ids 0 to a - 1 are
field 0, the next b are field 1, and so on; a row may then have any number of features of
a field, in any order. An id is one feature of the whole file: by position, an id in two
positions is an error, the sign of rows whose features stand in another order. The ids 7, 07 and
+7 are one. The values are kept if any differs from 1.
"""

import functools
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, joins, labels, refusals, text
from afm_jax.data.formats.labels import Labels
from afm_jax.errors import InputError

_LABEL = "1 is 1; -1 and 0 are 0"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_ID = re.compile(r"\+?\d+", re.ASCII)

OPTIONS: tuple[str, ...] = ("field_sizes", "field_names", *labels.OPTIONS)


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; without `field_sizes`, the first row tells the number of fields.

    Options: field_sizes (numbers of ids), field_names (tuple, or None for field_0, ...),
    and the rule for labels.

    Raises:
        InputError: a first row without features, other names than fields, or a name that polars takes for a pattern.
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
    columns.refuse_patterns(names)
    kind = "multi_valued" if sizes else "categorical"
    fields = tuple(formats.Column(name, kind) for name in names)
    rule = Labels.of(options)
    told = rule.told("the label", by_default=_LABEL)
    layout = formats.Layout(told, fields, label_kind=rule.kind)
    parse = functools.partial(_by_position, rule=rule, names=names)
    if sizes:
        parse = functools.partial(_by_range, rule=rule, names=names, sizes=sizes)

    def check(texts: Mapping[str, pl.Series]) -> None:
        rule.check()
        if not sizes:
            _check_positions(texts, paths=paths)

    return formats.Reader(layout, functools.partial(_parts, parse=parse), check=check)


def _features_of_first_row(path: pathlib.Path) -> int:
    first = next(text.chunks(path, chunk_bytes=1 << 16))
    count = len(first.text[: first.text.index(b"\n")].split()) - 1
    if count < 1:
        raise InputError(f"{path} line 1: no features, expected label id:value ...")
    return count


def _parts(
    path: pathlib.Path, *, parse: Callable[[text.Chunk], pl.DataFrame]
) -> Iterator[formats.Part]:
    for chunk in text.chunks(path):
        yield formats.Part(functools.partial(parse, chunk), chunk.taken)


def _single_blanks(chunk: text.Chunk) -> text.Chunk:
    """The chunk with one space between values and none at the end of a line."""
    if any(blanks in chunk.text for blanks in (b"  ", b"\t", b" \n")):
        plain = re.sub(rb"[ \t]+", b" ", chunk.text).replace(b" \n", b"\n")
        return chunk._replace(text=plain)
    return chunk


def _by_position(
    chunk: text.Chunk, names: Sequence[str], rule: Labels | None = None
) -> pl.DataFrame:
    """The rows of a chunk, with labels if there is a rule for them."""
    chunk = _single_blanks(chunk)
    frame = delimited.parse(
        chunk,
        dict.fromkeys((formats.LABEL, *names), "text"),
        separator=" ",
        told=f"label and {len(names)} features; where rows differ in length, --field_sizes tells the fields",
    )
    pairs = frame.select(pl.col(name).str.splitn(":", 2) for name in names)
    ids = pairs.select(_part(name, "field_0") for name in names)
    numbers = ids.select(pl.all().cast(pl.UInt64, strict=False))
    values = pairs.select(
        _part(name, "field_1").cast(pl.Float32, strict=False) for name in names
    )
    finite = values.select(pl.all_horizontal(pl.all().is_finite().fill_null(False)))
    if any(numbers.null_count().row(0)) or not finite.to_series().all():
        _explain(chunk)
    other_forms = (pl.all() < "1") & (pl.all() != "0")  # 07 and +7, to be read as 7
    if ids.select(pl.any_horizontal(other_forms.any())).item():
        ids = numbers.cast(pl.String)
    if rule is not None:
        refuse = refusals.in_chunk(chunk, frame.columns, separator=" ")
        ids.insert_column(0, rule.read(frame[formats.LABEL], refuse))
    if values.select(pl.all_horizontal((pl.all() == 1).all())).item():
        return ids
    return ids.hstack([values[name].alias(formats.VALUES + name) for name in names])


def _part(name: str, part: str) -> pl.Expr:
    return pl.col(name).struct.field(part).alias(name)


def _check_positions(
    texts: Mapping[str, pl.Series], *, paths: Sequence[pathlib.Path]
) -> None:
    """Raises an InputError, of the first such line, if an id stands in two positions."""
    ids = pl.concat(texts.values())
    twice = ids.filter(ids.is_duplicated()).unique()
    if twice.is_empty():
        return
    seen: dict[str, tuple[str, str]] = {}
    for path in paths:
        for chunk in text.chunks(path):
            tokens = (
                _by_position(chunk, list(texts))
                .select(*texts)
                .with_row_index("row")
                .unpivot(index="row", variable_name="field", value_name="id")
                .filter(pl.col("id").is_in(twice.implode()))
                .unique(["id", "field"], keep="first", maintain_order=True)
                .sort("row", maintain_order=True)
            )
            for row, field, token in tokens.iter_rows():
                where = f"{path} line {chunk.first_line + row}"
                other, there = seen.setdefault(token, (field, where))
                if other != field:
                    raise InputError(
                        f"{where}: id {token} stands where {field} is, and where {other} is in {there}; expected each id in one position. If the features of rows stand in any order, give --field_sizes."
                    )


def _by_range(
    chunk: text.Chunk, names: Sequence[str], sizes: Sequence[int], rule: Labels
) -> pl.DataFrame:
    chunk = _single_blanks(chunk)
    lines = pl.Series(delimited.decode(chunk).removesuffix("\n").split("\n"))
    rows = lines.to_frame("line").select(
        pl.col("line")
        .str.splitn(" ", 2)
        .struct.rename_fields([formats.LABEL, "features"])
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
            pl.col("field_0").cast(pl.UInt64, strict=False).alias("number"),
            pl.col("field_1").cast(pl.Float32, strict=False).alias("value"),
        )
        .collect()
    )
    refuse = refusals.in_chunk(chunk, [formats.LABEL], separator=" ")
    label = rule.read(rows[formats.LABEL], refuse)
    ends = list(itertools.accumulate(sizes))
    if (
        tokens["number"].has_nulls()
        or not tokens["value"].is_finite().fill_null(False).all()
        or (tokens["number"] >= ends[-1]).any()
        or _holds_twice(tokens)
    ):
        _explain(chunk, ends[-1])
    field = np.searchsorted(ends, tokens["number"].to_numpy(), side="right")
    tokens = tokens.with_columns(pl.Series("field", field))
    frame = rows.select("row", label)
    plain = (tokens["value"] == 1).all()
    for index, name in enumerate(names):
        lists = (
            tokens.filter(pl.col("field") == index)
            .group_by("row", maintain_order=True)
            .agg(
                pl.col("number").cast(pl.String).alias(name),
                pl.col("value").alias(formats.VALUES + name),
            )
        )
        lists = lists.drop(formats.VALUES + name) if plain else lists
        frame = joins.add_columns(frame, lists, on="row")
    return frame.drop("row")


def _holds_twice(tokens: pl.DataFrame) -> bool:
    """Whether a row holds an id twice."""
    rows, numbers = tokens["row"].to_numpy(), tokens["number"].to_numpy()
    ascending = (rows[1:] > rows[:-1]) | (numbers[1:] > numbers[:-1])
    return not ascending.all() and tokens.n_unique(["row", "number"]) < tokens.height


def _explain(chunk: text.Chunk, limit: int = 1 << 64) -> NoReturn:
    """Raises an InputError that names the first bad feature."""
    lines = chunk.text.decode().removesuffix("\n").split("\n")
    for line, row in enumerate(lines, chunk.first_line):
        _, *tokens = row.split(" ")
        where = f"{chunk.path} line {line}"
        seen = set()
        for token in tokens:
            number, _, value = token.partition(":")
            if not (_ID.fullmatch(number) and _NUMBER.fullmatch(value)):
                raise InputError(
                    f"{where}: {text.shown(token)}, expected id:value, two numbers."
                )
            number = number.lstrip("+0") or "0"
            if len(number) > 20 or int(number) >= limit:
                most = "the sum of the field sizes" if limit < 1 << 64 else "2^64"
                raise InputError(
                    f"{where}: id {number:.30}, expected less than {limit}, {most}."
                )
            if abs(float(value)) > float(np.finfo(np.float32).max):
                raise InputError(
                    f"{where}: {text.shown(token)}, expected a value of at most 3.4e38."
                )
            if number in seen:
                raise InputError(f"{where}: id {number} is there twice.")
            seen.add(number)
    raise InputError(f"{chunk.path}, from line {chunk.first_line}: no libFM format.")
