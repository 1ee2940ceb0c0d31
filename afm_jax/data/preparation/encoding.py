"""Rows on disk as codes to encoded rows: fit on the training rows, then encode.

Vocabularies, scales, buckets and numbers of slots come from the training rows only.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from afm_jax.data import fields
from afm_jax.data.fields import Encoder
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.dense import Dense
from afm_jax.data.preparation.spill import Spill, Stored, ordered_map
from afm_jax.data.progress import Advance, silent
from afm_jax.data.store import writer
from afm_jax.data.store.reader import SPLITS, UnseenValues
from afm_jax.errors import InputError
from afm_jax.features import DenseColumn, Field, Rows

VOCABULARIES_FILE = "vocabularies.parquet"
UNSEEN_FILE = "unseen.parquet"
_VOCABULARIES = {"field": pl.String, "value": pl.String, "count": pl.Int64}


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How blocks become rows.

    Attributes:
        fields: the fields, in slot order.
        dense_columns: the columns of `Rows.dense`.
        by_field: the encoder of each field.
        dense: the encoder of the dense columns.
        weighted: whether rows have values.
    """

    fields: tuple[Field, ...]
    dense_columns: tuple[DenseColumn, ...]
    by_field: tuple[Encoder, ...]
    dense: Dense
    weighted: bool

    def rows(self, block: Block) -> tuple[Rows, dict[int, np.ndarray]]:
        """The rows of a block, and their values without an id (`store.reader.UnseenValues`)."""
        count = len(block.labels)
        slots = sum(field.slots for field in self.fields)
        ids = np.empty((count, slots), np.int32)
        values = np.ones((count, slots), np.float32) if self.weighted else None
        start = 0
        for field, encoder in zip(self.fields, self.by_field, strict=True):
            part = slice(start, start + field.slots)
            encoder.write(
                block, ids[:, part], None if values is None else values[:, part]
            )
            start += field.slots
        unseen = {
            index: found
            for index, encoder in enumerate(self.by_field)
            if (found := encoder.unseen(block)) is not None
        }
        weights = block.weights if block.weights.size else None
        dense = self.dense.encode(block)
        return Rows(ids, values, dense, block.labels, weights), unseen

    def save_vocabularies(self, folder: pathlib.Path) -> None:
        """Writes the values of every field.

        `VOCABULARIES_FILE` gets field, value and count of those with an id, in id order;
        `UNSEEN_FILE` field and value of those without, in the order of their numbers.
        """
        known = [pl.DataFrame(schema=_VOCABULARIES)]
        others = [known[0].drop("count")]
        for field, encoder in zip(self.fields, self.by_field, strict=True):
            if encoder.vocabulary is None:
                continue
            name = pl.lit(field.name).alias("field")
            values, counts, rest = encoder.vocabulary
            known.append(
                pl.DataFrame({"value": values, "count": counts}).select(
                    name, "value", "count"
                )
            )
            others.append(pl.DataFrame({"value": rest}).select(name, "value"))
        pl.concat(known).write_parquet(folder / VOCABULARIES_FILE)
        pl.concat(others).write_parquet(folder / UNSEEN_FILE)


def read_vocabularies(path: pathlib.Path) -> dict[str, list[str]]:
    """The values of each field, in id order, that `Encoding.save_vocabularies` wrote."""
    table = pl.read_parquet(path)
    return {
        field: part["value"].to_list()
        for (field,), part in table.group_by("field", maintain_order=True)
    }


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
    fitted, dense = _make_encoders(spill, chosen, options, train_rows)
    if not fitted:
        raise InputError(
            "There is no field to embed: name a categorical or multi-valued column, or cut numbers into buckets by --numeric_as."
        )
    loaded = ordered_map(Stored.load, spill.blocks)
    for block, part in zip(loaded, assigned, strict=True):
        train = np.flatnonzero(part == 0)
        for encoder in fitted:
            encoder.count(block, train)
        dense.count(block, train)
    dense_columns = dense.fit()
    made: list[Field] = []
    for encoder in fitted:
        offset = made[-1].offset + made[-1].vocab_size if made else 0
        made.append(encoder.fit(offset))
    weighted = spill.weighted or any(field.slots > 1 for field in made)
    return Encoding(tuple(made), dense_columns, tuple(fitted), dense, weighted)


def _make_encoders(
    spill: Spill,
    chosen: Mapping[str, fields.Choice],
    options: Mapping[str, Any],
    train_rows: int,
) -> tuple[list[Encoder], Dense]:
    """The encoders of the fields, in the order of the columns, and of the dense columns."""
    made: list[Encoder] = []
    dense: list[tuple[str, int, fields.Scale]] = []
    met: dict[str, int] = {}
    for name, column in spill.layout.columns:
        index = met.get(column, 0)
        met[column] = index + 1
        kind, setting = chosen[name]
        make, scale = fields.kinds()[kind].encoder, fields.kinds()[kind].scale
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

    def split(task: tuple[Stored, np.ndarray, int]) -> list[writer.Block]:
        stored, part, end = task
        rows, unseen = encoding.rows(stored.load())
        rows = rows._replace(numbers=np.arange(end - stored.rows, end))
        return [
            _of_split(name, rows, unseen, np.flatnonzero(part == index))
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
