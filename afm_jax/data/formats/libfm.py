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
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, delimited, labels, refusals, text, tokens
from afm_jax.data.formats.dialect import Dialect, encoding_of
from afm_jax.data.formats.labels import Labels
from afm_jax.errors import InputError

_FORM = "id:value, two numbers"

OPTIONS: tuple[str, ...] = (
    "field_sizes",
    "field_names",
    "encoding",
    *labels.OPTIONS,
)


def open_reader(
    paths: Sequence[pathlib.Path], options: formats.Options
) -> formats.Reader:
    """The reader; without `field_sizes`, the first row tells the number of fields.

    Options: field_sizes (numbers of ids), field_names (tuple, or None for field_0, ...),
    encoding (of the files), and the rule for labels.

    Raises:
        InputError: a first row without features, other names than fields, or a name that polars takes for a pattern.
    """
    sizes = tuple(options["field_sizes"])
    written = Dialect(" ", encoding=encoding_of(options))
    labelled = tokens.are_labelled(paths[0], written, options)
    count = len(sizes) or _features_of_first_row(paths[0], written, labelled)
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
    read = rule if labelled else None
    parse = functools.partial(_by_position, rule=read, names=names)
    if sizes:
        parse = functools.partial(_by_range, rule=read, names=names, sizes=sizes)

    def check(texts: Mapping[str, pl.Series]) -> None:
        rule.check()
        if not sizes:
            _check_positions(texts, paths=paths, written=written, rule=rule)

    parts = functools.partial(_parts, written=written, parse=parse)
    return formats.Reader(tokens.layout(fields, rule), parts, check=check)


def _features_of_first_row(path: pathlib.Path, written: Dialect, labelled: bool) -> int:
    first = next(text.chunks(path, written, chunk_bytes=1 << 16))
    count = len(first.text[: first.text.index(b"\n")].split()) - labelled
    if count < 1:
        raise InputError(f"{path} line 1: no features, expected label id:value ...")
    return count


def _parts(
    path: pathlib.Path, *, written: Dialect, parse: Callable[[text.Chunk], pl.DataFrame]
) -> Iterator[formats.Part]:
    for chunk in text.chunks(path, written):
        yield formats.Part(functools.partial(parse, chunk), chunk.taken)


def _by_position(
    chunk: text.Chunk, names: Sequence[str], rule: Labels | None
) -> pl.DataFrame:
    """The rows of a chunk, with labels if there is a rule for them."""
    chunk, label = tokens.single_blanks(chunk), [formats.LABEL][: rule is not None]
    frame = delimited.parse(
        chunk,
        dict.fromkeys((*label, *names), "text"),
        told=f"{'label and ' if label else ''}{len(names)} features; where rows differ in length, --field_sizes tells the fields",
    )
    pairs = frame.select(pl.col(name).str.splitn(":", 2) for name in names)
    ids = pairs.select(_part(name, "field_0") for name in names)
    numbers = ids.select(pl.all().cast(pl.UInt64, strict=False))
    values = pairs.select(
        _part(name, "field_1").cast(pl.Float32, strict=False) for name in names
    )
    finite = values.select(pl.all_horizontal(pl.all().is_finite().fill_null(False)))
    if any(numbers.null_count().row(0)) or not finite.to_series().all():
        tokens.explain(chunk, labelled=bool(label), form=_FORM)
    other_forms = (pl.all() < "1") & (pl.all() != "0")  # 07 and +7, to be read as 7
    if ids.select(pl.any_horizontal(other_forms.any())).item():
        ids = numbers.cast(pl.String)
    if rule is not None:
        refuse = refusals.in_chunk(chunk, frame.columns)
        ids.insert_column(0, rule.read(frame[formats.LABEL], refuse))
    if values.select(pl.all_horizontal((pl.all() == 1).all())).item():
        return ids
    return ids.hstack([values[name].alias(formats.VALUES + name) for name in names])


def _part(name: str, part: str) -> pl.Expr:
    return pl.col(name).struct.field(part).alias(name)


def _check_positions(
    texts: Mapping[str, pl.Series],
    *,
    paths: Sequence[pathlib.Path],
    written: Dialect,
    rule: Labels,
) -> None:
    """Raises an InputError, of the first such line, if an id stands in two positions."""
    ids = pl.concat(texts.values())
    twice = ids.filter(ids.is_duplicated()).unique()
    if twice.is_empty():
        return
    seen: dict[str, tuple[str, str]] = {}
    for path in paths:
        for chunk in text.chunks(path, written):
            found = (
                _by_position(chunk, list(texts), rule)
                .select(*texts)
                .with_row_index("row")
                .unpivot(index="row", variable_name="field", value_name="id")
                .filter(pl.col("id").is_in(twice.implode()))
                .unique(["id", "field"], keep="first", maintain_order=True)
                .sort("row", maintain_order=True)
            )
            for row, field, token in found.iter_rows():
                where = f"{path} line {chunk.first_line + row}"
                other, there = seen.setdefault(token, (field, where))
                if other != field:
                    raise InputError(
                        f"{where}: id {token} stands where {field} is, and where {other} is in {there}; expected each id in one position. If the features of rows stand in any order, give --field_sizes."
                    )


def _by_range(
    chunk: text.Chunk,
    names: Sequence[str],
    sizes: Sequence[int],
    rule: Labels | None,
) -> pl.DataFrame:
    chunk, ends = tokens.single_blanks(chunk), list(itertools.accumulate(sizes))
    label, found = tokens.split(chunk, ["number"], rule)
    if found is None or (found["number"] >= ends[-1]).any():
        tokens.explain(
            chunk,
            labelled=rule is not None,
            form=_FORM,
            limit=ends[-1],
            most="the sum of the field sizes",
        )
    field = np.searchsorted(ends, found["number"].to_numpy(), side="right")
    return tokens.frame(label, found, field, names)
