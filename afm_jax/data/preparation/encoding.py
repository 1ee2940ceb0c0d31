"""How rows are encoded: blocks by fitted fields, and frames of new rows."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl

from afm_jax.data import fields, formats
from afm_jax.data.fields import Fitted
from afm_jax.data.fields.codes import Block, Coder, KnownCoder
from afm_jax.data.fields.dense import FittedDense
from afm_jax.data.fields.vocabulary import Vocabulary, extend_strings, load_strings
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

    @classmethod
    def load(
        cls,
        schema: Schema,
        vocabularies: Mapping[str, Vocabulary],
        layout: formats.Layout,
        strings: Mapping[str, pl.Series] = MappingProxyType({}),
    ) -> "Encoding":
        """The encoding of the rows of a schema, for blocks with the columns of a layout.

        Args:
            schema: of the rows.
            vocabularies: of its fields.
            layout: the columns of the blocks; it has those of the schema.
            strings: the texts of the codes of a column, that of code c at c - 1. A
                column that is not there has the codes of a `codes.KnownCoder`.

        Raises:
            InputError: a column is not in the layout, or has another kind there; or a
                vocabulary is missing, as those of synthetic data, or is not that of the
                schema.
        """
        _check_columns(schema, layout)
        chosen, places = choose(schema, layout), _places(layout)
        by_field = []
        for field in schema.fields:
            kind = fields.kinds()[chosen[field.name].kind]
            if kind.load is None:
                raise InputError(
                    f"The schema of {schema.dataset} is damaged: its options make no field of column {field.name!r}."
                )
            coded = None
            if kind.has_vocabulary:
                vocabulary = _vocabulary(field, vocabularies)
                coded = (
                    extend_strings(field, vocabulary, strings[field.name])
                    if field.name in strings
                    else load_strings(field, vocabulary)
                )
            by_field.append(kind.load(field, places[field.name], coded))
        numbers = [column for column in schema.dense if column.transform != "missing"]
        dense = FittedDense(schema.dense, tuple(places[each.name] for each in numbers))
        weighted = any(field.slots > 1 for field in schema.fields)
        return cls(tuple(by_field), dense, weighted)

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
    def load(
        cls,
        schema: Schema,
        vocabularies: Vocabularies,
        layout: formats.Layout | None = None,
    ) -> "FrameEncoder":
        """The encoder of the rows of a schema.

        Args:
            schema: of the rows.
            vocabularies: of its fields.
            layout: the columns of the frames, if a reader gives them; else those from
                which the rows of the schema were made.

        Raises:
            InputError: a vocabulary is missing, as those of synthetic data, or is not
                that of the schema; or a column of the schema is not in the layout.
        """
        layout = layout or _layout(schema)
        chosen = choose(schema, layout)
        encoding = Encoding.load(schema, vocabularies.tables(), layout)
        coders = dict(fields.coders(chosen))
        for name, vocabulary in encoding.vocabularies.items():
            coders.setdefault(name, KnownCoder(vocabulary.values))
        return cls(layout, encoding, coders, chosen, columns_of(schema))

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
        block = block_of(frame, self.layout, self.coders, prepare)
        weighted = self.encoding.weighted or block.weighted
        return dataclasses.replace(self.encoding, weighted=weighted).rows(block)


def columns_of(schema: Schema) -> Chosen:
    """The columns of a schema, as a reader of frames, or of files with names, wants them."""
    return Chosen.of_layout(_layout(schema), stored(schema))


def choose(schema: Schema, layout: formats.Layout) -> dict[str, fields.Choice]:
    """What each column of a layout became in the rows of a schema."""
    return fields.choose(layout, stored(schema))


def _check_columns(schema: Schema, layout: formats.Layout) -> None:
    """Raises InputError if a column of a schema is not in a layout as it was."""
    there = {column.name: column.kind for column in layout.columns}
    wanted = {each.name: fields.kinds()[each.kind].column for each in schema.fields}
    dense = [each for each in schema.dense if each.transform != "missing"]
    for name, kind in (wanted | {each.name: "numeric" for each in dense}).items():
        if name not in there:
            raise InputError(
                f"The new rows have no column {name!r}, which the old ones had; they have {', '.join(there)}."
            )
        # A list of one item at most has the kind of a text.
        listed = kind == "categorical" and there[name] == "multi_valued"
        if there[name] != kind and not listed:
            raise InputError(
                f"Column {name!r} of the new rows is {there[name]}; expected {kind}, as it was."
            )


def _layout(schema: Schema) -> formats.Layout:
    """The columns from which the rows of a schema are made."""
    lists = stored(schema)["multi_valued"]
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


def _vocabulary(field: Field, vocabularies: Mapping[str, Vocabulary]) -> Vocabulary:
    """The vocabulary of a field."""
    found = vocabularies.get(field.name)
    if found is None:
        raise InputError(
            f"The vocabulary of field {field.name!r} is not known, so that new rows cannot be encoded as the old ones were; expected data that data.prepare or afm_jax.data.prepare_frames made."
        )
    if found.crc32 != field.vocabulary_crc32:
        raise InputError(
            f"The vocabulary of field {field.name!r} is not the one of its schema; expected the checksum {field.vocabulary_crc32}, found {found.crc32}."
        )
    return found
