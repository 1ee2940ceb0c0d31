"""The builder of data sets from raw files: reader, spill, splits, encoding.

Imports tensorflow_datasets and polars, so import it inside the function that builds.
"""

import functools
import logging
import pathlib
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from afm_jax.data import fields
from afm_jax.data.formats import csv, libfm, parquet, sources
from afm_jax.data.preparation import encoding, splits, unused
from afm_jax.data.preparation.builder import BlockBuilder, Encoded
from afm_jax.data.preparation.spill import spill
from afm_jax.errors import InputError
from afm_jax.features import Schema

DEFAULTS: Mapping[str, Any] = {
    **{option.name: option.default for option in fields.options()},
    "split": None,
    "fractions": None,
    "seed": 0,
    "label": None,
    "categorical": (),
    "numeric": (),
    "multi_valued": (),
    "separator": "|",
    "time": None,
    "field_sizes": (),
    "field_names": None,
}
"""All options of a preparation.

`split` None: given files, else random. `fractions` None: see `splits.resolve_fractions`.
"""

_log = logging.getLogger(__name__)

_LEAST = {**{option.name: option.least for option in fields.options()}, "seed": 0}

_FOR_ALL = (*(option.name for option in fields.options()), "split", "fractions", "seed")


class RawBuilder(BlockBuilder):
    """A data set made of raw files; a subclass says how they are read.

    Attributes:
        reader: a module as `afm_jax.data.formats` describes.
        defaults: options that differ from DEFAULTS.
    """

    reader: Any
    defaults: Mapping[str, Any] = types.MappingProxyType({})

    def files(
        self, source: pathlib.Path, *, to_split: bool
    ) -> list[sources.SourceFile]:
        """The files of the source; see `sources.find`."""
        return sources.find(source, to_split=to_split)

    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        """Reads the source once, into `folder / "scratch"`; see `BlockBuilder.encode`."""
        if source is None:
            raise InputError(f"{self.name} is made from files; name their folder.")
        options = self._options()
        to_split = not {"split", "fractions", "seed"}.isdisjoint(self.options)
        files = self.files(source, to_split=to_split)
        reader = self.reader.open_reader([file.path for file in files], options)
        if reader.names is not None:
            sources.require_one_table(files, reader.names)
            unused.tell(reader.names(files[0].path), reader.layout, options)
        chosen = fields.choose(reader.layout, options)
        self._refuse_idle_options({choice.kind for choice in chosen.values()})
        if "seed" in self.options and options["split"] == "time":
            raise InputError("--seed has no meaning for --split=time.")
        options.update(_how_to_split(files, options))
        spilled = spill(
            files,
            reader,
            folder / "scratch",
            functools.partial(fields.prepare, layout=reader.layout, chosen=chosen),
            coders=fields.coders(chosen),
            advance=self.advance,
        )
        assigned = splits.assign(
            spilled, options["split"], options["fractions"], options["seed"]
        )
        fitted = encoding.fit(spilled, assigned, chosen, options)
        fitted.save_vocabularies(folder)
        schema = Schema(
            dataset=self.name,
            fields=fitted.fields,
            dense=fitted.dense_columns,
            label=reader.layout.label,
            sources=spilled.checksums,
            options={name: options[name] for name in (*_FOR_ALL, *self.reader.OPTIONS)},
            source_rows=spilled.source_rows,
        )
        return Encoded(
            schema, encoding.encode(spilled, assigned, fitted, advance=self.advance)
        )

    def _options(self) -> dict[str, Any]:
        known = (*_FOR_ALL, *self.reader.OPTIONS)
        strange = [name for name in self.options if name not in known]
        if strange:
            raise InputError(
                f"--{strange[0]} has no meaning for {type(self).name}; its options are {', '.join(known)}."
            )
        options = {**DEFAULTS, **self.defaults, **self.options}
        if options["split"] not in (None, "random", "time"):
            raise InputError(f"split is {options['split']!r}, expected random or time.")
        for name, least in _LEAST.items():
            if isinstance(options[name], int) and options[name] < least:
                raise InputError(
                    f"--{name}={options[name]}, expected at least {least}."
                )
        return options

    def _refuse_idle_options(self, used: Collection[str]) -> None:
        """Raises InputError for a given option of a kind that no column has."""
        for name, kind in fields.kinds().items():
            for option in kind.options:
                if option.name in self.options and name not in used:
                    raise InputError(
                        f"--{option.name} has no meaning without --numeric_as={name}."
                    )


def _how_to_split(
    files: Sequence[sources.SourceFile], options: Mapping[str, Any]
) -> dict[str, Any]:
    """The options split, fractions and seed, as far as they have a meaning."""
    given = {file.split for file in files}
    if None not in given:
        return {"split": None, "fractions": None, "seed": None}
    fractions = splits.resolve_fractions(
        options["fractions"], given_test="test" in given
    )
    if "test" in given:
        _log.info(
            "There is no validation file: %g%% of the training rows are held out for validation.",
            100 * fractions[1],
        )
    how = options["split"] or "random"
    return {"split": how, "fractions": fractions, "seed": options["seed"]}


class LibfmBuilder(RawBuilder):
    """Any files in libFM's format."""

    name = "libfm"
    reader = libfm


class CsvBuilder(RawBuilder):
    """Any CSV files with a header."""

    name = "csv"
    reader = csv


class ParquetBuilder(RawBuilder):
    """Any parquet files."""

    name = "parquet"
    reader = parquet
