"""Rows on disk as codes to encoded rows: fit on the training rows, then encode.

Vocabularies, scales, buckets and numbers of slots come from the training rows only.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from afm_jax.data import fields
from afm_jax.data.fields import Counter, Fitted
from afm_jax.data.fields.dense import Dense
from afm_jax.data.fields.vocabulary import Vocabulary
from afm_jax.data.preparation import splits
from afm_jax.data.preparation.encoding import Encoding
from afm_jax.data.preparation.former import Former
from afm_jax.data.preparation.spill import Held, Spill, Stored, ordered_map
from afm_jax.data.progress import Advance, silent
from afm_jax.data.store import writer
from afm_jax.data.store.reader import SPLITS, UnseenValues
from afm_jax.errors import InputError
from afm_jax.features import Rows, Schema

_log = logging.getLogger(__name__)


class Prepared(NamedTuple):
    """A source that has been fitted.

    Attributes:
        schema: how columns became features; row counts are not filled in.
        vocabularies: the values with ids of their own, by the names of the fields.
        blocks: the rows, encoded as they are taken.
        former_counts: see `Store.former_counts`.
    """

    schema: Schema
    vocabularies: Mapping[str, Vocabulary]
    blocks: Iterator[writer.Block]
    former_counts: np.ndarray | None = None


def prepare(
    spill: Spill,
    chosen: Mapping[str, fields.Choice],
    options: Mapping[str, Any],
    *,
    dataset: str,
    former: Former | None = None,
    advance: Advance = silent,
) -> Prepared:
    """Splits the rows, fits on the training rows, and encodes all.

    Args:
        spill: the rows.
        chosen: what each column becomes.
        options: of the preparation, as the schema is to hold them.
        dataset: name of the data set.
        former: what knows the encoding already, so that nothing is fitted.
        advance: told how far the encoding is.

    Raises:
        InputError: as `splits.assign`, `fit` and `Former.encoding`.
    """
    assigned = splits.assign(
        spill, options["split"], options["fractions"], options["seed"]
    )
    if spill.rows_of_weight_0:
        _log.info("%d rows have weight 0: left out.", spill.rows_of_weight_0)
    if former is None:
        encoding = fit(spill, assigned, chosen, options)
    else:
        encoding = former.encoding(spill)
    schema = Schema(
        dataset=dataset,
        fields=encoding.fields,
        dense=encoding.dense.columns,
        label=spill.layout.label,
        label_kind=former.schema.label_kind if former else spill.layout.label_kind,
        sources=spill.checksums,
        options=options,
        source_rows=spill.source_rows,
        label_mean=former.schema.label_mean if former else None,
    )
    blocks = encode(spill, assigned, encoding, advance=advance)
    return Prepared(
        schema, encoding.vocabularies, blocks, former.counts if former else None
    )


def fit(
    spill: Spill,
    assigned: Sequence[np.ndarray],
    chosen: Mapping[str, fields.Choice],
    options: Mapping[str, Any],
) -> Encoding:
    """Fits vocabularies, scales, buckets and numbers of slots on the training rows.

    Args:
        spill: the rows.
        assigned: their splits, from `splits.assign`.
        chosen: what each column becomes.
        options: of the preparation.

    Raises:
        InputError: no training row, a column without a value in any, or no field.
    """
    train_rows = sum(int(np.count_nonzero(part == 0)) for part in assigned)
    if not train_rows:
        raise InputError("No training rows.")
    counters, dense = _make_counters(spill, chosen, options, train_rows)
    if not counters:
        raise InputError(
            "There is no field to embed: name a categorical or multi-valued column, or cut numbers into buckets by --numeric_as."
        )
    loaded = ordered_map(lambda stored: stored.load(), spill.blocks)
    for block, part in zip(loaded, assigned, strict=True):
        train = np.flatnonzero(part == 0)
        for counter in counters:
            counter.count(block, train)
        dense.count(block, train)
    fitted_dense = dense.fit()
    made: list[Fitted] = []
    for counter in counters:
        last = made[-1].field if made else None
        made.append(counter.fit(last.offset + last.vocab_size if last else 0))
    weighted = spill.weighted or any(fitted.field.slots > 1 for fitted in made)
    return Encoding(tuple(made), fitted_dense, weighted)


def _make_counters(
    spill: Spill,
    chosen: Mapping[str, fields.Choice],
    options: Mapping[str, Any],
    train_rows: int,
) -> tuple[list[Counter], Dense]:
    """The counters of the fields, in the order of the columns, and of the dense columns."""
    made: list[Counter] = []
    dense: list[tuple[str, int, fields.Scale]] = []
    met: dict[str, int] = {}
    for name, column in spill.layout.columns:
        index = met.get(column, 0)
        met[column] = index + 1
        kind, setting = chosen[name]
        make, scale = fields.kinds()[kind].counter, fields.kinds()[kind].scale
        if scale is not None:
            dense.append((name, index, scale))
        if make is None:
            continue
        coder = spill.dictionaries.get(name)
        texts = coder.strings() if coder else pl.Series(dtype=pl.String)
        made.append(
            make(fields.Given(name, index, setting, options, train_rows, texts))
        )
    return made, Dense(
        [name for name, _, _ in dense],
        [index for _, index, _ in dense],
        [scale for _, _, scale in dense],
    )


def encode(
    spill: Spill,
    assigned: Sequence[np.ndarray],
    encoding: Encoding,
    *,
    advance: Advance = silent,
) -> Iterator[writer.Block]:
    """The rows of the splits, a block of the spill at a time."""
    ends = np.cumsum([block.rows for block in spill.blocks])

    def split(task: tuple[Stored | Held, np.ndarray, int]) -> list[writer.Block]:
        stored, part, end = task
        block = stored.load()
        rows = encoding.rows(block)._replace(numbers=np.arange(end - stored.rows, end))
        unseen, missing = encoding.unseen(block), encoding.dense.missing(block)
        return [
            _of_split(name, rows, unseen, np.flatnonzero(part == index))._replace(
                missing={n: int(of[part == index].sum()) for n, of in missing.items()}
            )
            for index, name in enumerate(SPLITS)
            if (part == index).any()
        ]

    tasks = zip(spill.blocks, assigned, ends.tolist(), strict=True)
    for pieces in ordered_map(split, tasks):
        yield from pieces
        count = sum(len(piece.rows.labels) for piece in pieces)
        advance("encode", count, int(ends[-1]), "rows")


def _of_split(
    split: str, rows: Rows, unseen: UnseenValues, chosen: np.ndarray
) -> writer.Block:
    """Those rows of a block that are of one split, at rising positions `chosen`."""
    if len(chosen) == len(rows.labels):
        return writer.Block(split, rows, unseen)
    place = np.full(len(rows.labels), -1)
    place[chosen] = np.arange(len(chosen))
    moved = {}
    for index, found in unseen.items():
        there = found[place[found[:, 0]] >= 0]
        moved[index] = np.stack([place[there[:, 0]], there[:, 1]], axis=1)
    return writer.Block(split, rows.take(chosen), moved)
