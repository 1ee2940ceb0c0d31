"""How rows are encoded: blocks by fitted fields, and frames of new rows."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from afm_jax.data import fields, formats
from afm_jax.data.fields import Fitted
from afm_jax.data.fields.codes import Block, Coder, KnownCoder
from afm_jax.data.fields.dense import FittedDense
from afm_jax.data.fields.vocabulary import Vocabulary
from afm_jax.data.formats.columns import Chosen
from afm_jax.data.preparation.blocks import block_of
from afm_jax.data.preparation.options import stored
from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.errors import InputError
from afm_jax.features import Field, Rows, Schema


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How blocks become rows.

    Attributes:
        by_field: the fields, in slot order.
        dense: the dense columns.
        weighted: whether rows have values.
    """

    by_field: tuple[Fitted, ...]
    dense: FittedDense
    weighted: bool

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in slot order."""
        return tuple(fitted.field for fitted in self.by_field)

    @property
    def vocabularies(self) -> dict[str, Vocabulary]:
        """The values with ids of their own, by the names of the fields that have such."""
        found = {fitted.field.name: fitted.vocabulary for fitted in self.by_field}
        return {name: values for name, values in found.items() if values is not None}

    def rows(self, block: Block) -> Rows:
        """The rows of a block."""
        count = len(block.labels)
        slots = sum(field.slots for field in self.fields)
        ids = np.empty((count, slots), np.int32)
        values = np.ones((count, slots), np.float32) if self.weighted else None
        start = 0
        for fitted in self.by_field:
            part = slice(start, start + fitted.field.slots)
            fitted.write(
                block, ids[:, part], None if values is None else values[:, part]
            )
            start += fitted.field.slots
        weights = block.weights if block.weights.size else None
        return Rows(ids, values, self.dense.encode(block), block.labels, weights)

    def unseen(self, block: Block) -> dict[int, np.ndarray]:
        """The values of a block without an id (`store.reader.UnseenValues`)."""
        return {
            index: found
            for index, fitted in enumerate(self.by_field)
            if (found := fitted.unseen(block)) is not None
        }


@dataclasses.dataclass(frozen=True)
class FrameEncoder:
    """Encodes frames of new rows as the rows of a store were encoded.

    Attributes:
        layout: the columns of a frame, without labels and times.
        encoding: how blocks become rows.
        coders: of the columns that are not numeric, by name.
        chosen: what each column becomes.
        columns: the columns as a reader of frames looks for them.
    """

    layout: formats.Layout
    encoding: Encoding
    coders: Mapping[str, Coder]
    chosen: Mapping[str, fields.Choice]
    columns: Chosen

    @classmethod
    def load(cls, schema: Schema, vocabularies: Vocabularies) -> "FrameEncoder":
        """The encoder of the rows of a schema.

        Args:
            schema: of the rows.
            vocabularies: of its fields.

        Raises:
            InputError: a vocabulary is missing, as those of synthetic data, or is not
                that of the schema; or the schema is damaged.
        """
        options = stored(schema)
        layout = _layout(schema, options["multi_valued"])
        chosen = fields.choose(layout, options)
        places = _places(layout)
        by_field, coders = [], dict(fields.coders(chosen))
        for field in schema.fields:
            vocabulary = _vocabulary(field, chosen[field.name].kind, vocabularies)
            load = fields.kinds()[chosen[field.name].kind].load
            if load is None:
                raise InputError(
                    f"The schema of {schema.dataset} is damaged: its options make no field of column {field.name!r}."
                )
            by_field.append(load(field, places[field.name], vocabulary))
            if vocabulary is not None:
                coders.setdefault(field.name, KnownCoder(vocabulary.values))
        numbers = [column for column in schema.dense if column.transform != "missing"]
        dense = FittedDense(schema.dense, tuple(places[each.name] for each in numbers))
        weighted = any(field.slots > 1 for field in schema.fields)
        encoding = Encoding(tuple(by_field), dense, weighted)
        columns = Chosen.of_layout(layout, options)
        return cls(layout, encoding, coders, chosen, columns)

    def rows(self, frame: pl.DataFrame) -> Rows:
        """The rows of a frame with the columns of `layout`; without labels they are 0.

        Raises:
            InputError: the frame has not all of them, since the options of a damaged
                schema name others.
        """
        for name, _ in self.layout.columns:
            if name not in frame.columns:
                raise InputError(
                    f"The schema is damaged: its options name no column {name!r}, of which it has a field."
                )
        prepare = functools.partial(
            fields.prepare, layout=self.layout, chosen=self.chosen
        )
        return self.encoding.rows(block_of(frame, self.layout, self.coders, prepare))


def _layout(schema: Schema, lists: Sequence[str]) -> formats.Layout:
    """The columns from which the rows of a schema are made, lists those of these names."""
    columns = [
        formats.Column(each.name, _column(each, lists)) for each in schema.fields
    ]
    columns += [
        formats.Column(column.name, "numeric")
        for column in schema.dense
        if column.transform != "missing"
    ]
    return formats.Layout(schema.label, tuple(columns))


def _column(field: Field, lists: Sequence[str]) -> str:
    """The kind of column that became a field."""
    if field.kind not in fields.kinds():
        raise InputError(
            f"Field {field.name!r} is of the kind {field.kind!r}, which is none of {', '.join(fields.kinds())}; its schema is damaged, or of a newer version."
        )
    # A list of one item at most has the kind of a text.
    if field.slots > 1 or field.name in lists:
        return "multi_valued"
    return fields.kinds()[field.kind].column


def _places(layout: formats.Layout) -> dict[str, int]:
    """The place of each column among those of its kind."""
    met: dict[str, int] = {}
    places = {}
    for name, kind in layout.columns:
        places[name] = met.get(kind, 0)
        met[kind] = places[name] + 1
    return places


def _vocabulary(
    field: Field, kind: str, vocabularies: Vocabularies
) -> Vocabulary | None:
    """The vocabulary of a field; None if its kind has none."""
    if not fields.kinds()[kind].has_vocabulary:
        return None
    found = vocabularies.tables().get(field.name)
    if found is None:
        raise InputError(
            f"The vocabulary of field {field.name!r} is not known, so that new rows cannot be encoded as the old ones were; expected data that data.prepare or afm_jax.data.prepare_frames made."
        )
    if found.crc32 != field.vocabulary_crc32:
        raise InputError(
            f"The vocabulary of field {field.name!r} is not the one of its schema; expected the checksum {field.vocabulary_crc32}, found {found.crc32}."
        )
    return found
