"""The builder of data sets from raw files: reader, spill, splits, encoding.

Imports tensorflow_datasets and polars, so import it inside the function that builds.
"""

import functools
import pathlib
import types
from collections.abc import Mapping
from typing import Any

from afm_jax.data import fields
from afm_jax.data.formats import csv, libffm, libfm, parquet, sources
from afm_jax.data.preparation import fitting, unused
from afm_jax.data.preparation.builder import BlockBuilder, Encoded
from afm_jax.data.preparation.former import Former
from afm_jax.data.preparation.options import (
    FOR_ALL,
    HOW_TO_SPLIT,
    how_to_split,
    refuse_idle,
    resolve,
)
from afm_jax.data.preparation.spill import spill
from afm_jax.data.store import vocabularies
from afm_jax.errors import InputError


class RawBuilder(BlockBuilder):
    """A data set made of raw files; a subclass says how they are read.

    Attributes:
        reader: a module as `afm_jax.data.formats` describes.
        defaults: options that differ from `options.DEFAULTS`.
    """

    reader: Any
    defaults: Mapping[str, Any] = types.MappingProxyType({})

    def files(
        self, source: pathlib.Path, *, to_split: bool, fitted: bool
    ) -> list[sources.SourceFile]:
        """The files of the source; see `sources.find`."""
        return sources.find(source, to_split=to_split, fitted=fitted)

    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        """Reads the source once, into `folder / "scratch"`; see `BlockBuilder.encode`.

        A store, a run, or the folder of one as the option 'like' is what the rows are
        encoded like.
        """
        if source is None:
            raise InputError(f"{self.name} is made from files; name their folder.")
        known = (*FOR_ALL, *self.reader.OPTIONS)
        given = dict(self.options)
        like = given.pop("like", None)
        former = None if like is None else Former.of(like)
        asked = former.options(given, known) if former else given
        options = resolve(type(self).name, asked, known, self.defaults)
        to_split = not {*HOW_TO_SPLIT}.isdisjoint(given)
        files = self.files(source, to_split=to_split, fitted=former is not None)
        reader = self.reader.open_reader([file.path for file in files], options)
        if reader.names is not None:
            sources.require_one_table(files, reader.names)
        options.update(reader.resolved)
        chosen = fields.choose(reader.layout, options)
        refuse_idle(given, {choice.kind for choice in chosen.values()})
        options.update(how_to_split([file.split for file in files], options))
        spilled = spill(
            files,
            reader,
            folder / "scratch",
            functools.partial(fields.prepare, layout=reader.layout, chosen=chosen),
            coders=fields.coders(chosen),
            advance=self.advance,
        )
        if reader.names is not None:
            unused.tell(reader.names(files[0].path), reader.layout, options)
        prepared = fitting.prepare(
            spilled,
            chosen,
            {"dataset": type(self).name, **{name: options[name] for name in known}},
            dataset=self.name,
            former=former,
            advance=self.advance,
        )
        vocabularies.write(folder, prepared.vocabularies)
        return Encoded(prepared.schema, prepared.blocks, prepared.former_counts)


class LibfmBuilder(RawBuilder):
    """Any files in libFM's format."""

    name = "libfm"
    reader = libfm


class LibffmBuilder(RawBuilder):
    """Any files in libFFM's format."""

    name = "libffm"
    reader = libffm


class CsvBuilder(RawBuilder):
    """Any CSV files."""

    name = "csv"
    reader = csv


class ParquetBuilder(RawBuilder):
    """Any parquet files."""

    name = "parquet"
    reader = parquet
