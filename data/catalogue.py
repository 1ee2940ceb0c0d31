"""The sources of rows by name: who makes a store of one, and who reads its files."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import NamedTuple


class Source(NamedTuple):
    """A kind of source.

    Attributes:
        builder: the class that makes a store, a `preparation.builder.BlockBuilder`.
        reader: the module that reads its files, as `afm_jax.data.formats` describes; None
            for rows that are drawn.
    """

    builder: str
    reader: str | None


def _named(name: str, reader: str | None) -> Source:
    return Source(f"data.{name}.{name}_dataset_builder.Builder", reader)


def _of_format(name: str, builder: str) -> Source:
    return Source(
        f"afm_jax.data.preparation.raw_builder.{builder}",
        f"afm_jax.data.formats.{name}",
    )


DATASETS: Mapping[str, Source] = {
    "frappe": _named("frappe", "afm_jax.data.formats.libfm"),
    "criteo": _named("criteo", "data.criteo.criteo_reader"),
    "avazu": _named("avazu", "data.avazu.avazu_reader"),
    "movielens_100k": _named(
        "movielens_100k", "data.movielens_100k.movielens_100k_reader"
    ),
    "libfm": _of_format("libfm", "LibfmBuilder"),
    "libffm": _of_format("libffm", "LibffmBuilder"),
    "csv": _of_format("csv", "CsvBuilder"),
    "parquet": _of_format("parquet", "ParquetBuilder"),
    "synthetic": _named("synthetic", None),
}
"""What the flag --dataset of data.prepare names."""

FORMATS = tuple(name for name, source in DATASETS.items() if source.reader)
"""Those whose rows are in files."""


def reader(name: str) -> ModuleType:
    """The reader of the files of a source, which needs polars."""
    module = DATASETS[name].reader
    assert module is not None
    return importlib.import_module(module)
