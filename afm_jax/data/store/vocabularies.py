"""The values of all fields that have ids of their own, in a file beside a store or a run."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from afm_jax import files
from afm_jax.data.fields.vocabulary import Vocabulary
from afm_jax.errors import InputError

if TYPE_CHECKING:
    import polars as pl

KNOWN_FILE = "vocabularies.parquet"
"""Field, value and count of the values that have an id, in the order of their ids."""

OTHERS_FILE = "unseen.parquet"
"""Field and value of those that have none, in the order of their numbers."""


class Vocabularies:
    """The vocabulary of each field that has one, in memory or in a file.

    A file is read when a vocabulary is first asked for; only then polars is needed. One
    that does not exist holds none.

    Args:
        tables: the vocabularies by the names of the fields; None if they are in `file`.
        file: a `KNOWN_FILE`.
    """

    def __init__(
        self,
        tables: Mapping[str, Vocabulary] | None = None,
        *,
        file: pathlib.Path | None = None,
    ):
        self._tables, self._file = tables, file

    def tables(self) -> Mapping[str, Vocabulary]:
        """The vocabularies by the names of the fields.

        Raises:
            InputError: the file is damaged.
        """
        if self._tables is None:
            assert self._file is not None
            self._tables = _read(self._file)
        return self._tables

    def complete(self) -> Mapping[str, Vocabulary]:
        """As `tables`, with the values without an id, as far as they are known.

        A store has a file of them; a run has none.

        Raises:
            InputError: a file is damaged.
        """
        tables = self.tables()
        if self._file is None:
            return tables
        others = _read_others(self._file.with_name(OTHERS_FILE))
        return {
            name: table._replace(others=others.get(name, table.others))
            for name, table in tables.items()
        }

    def save(self, path: pathlib.Path) -> None:
        """Makes a file of them: whole, or after a kill none.

        It shares the bytes of a file that they are read from, where the file system can.
        """
        if self._file is None:
            if not self.tables():
                return
            with files.written(path) as file:
                known(self.tables()).write_parquet(file)
        elif self._file.is_file() and not (path.exists() and path.samefile(self._file)):
            path.unlink(missing_ok=True)
            try:
                os.link(self._file, path)
            except OSError:
                with files.written(path) as file, self._file.open("rb") as source:
                    shutil.copyfileobj(source, file)


NO_VOCABULARIES = Vocabularies({})


def write(folder: pathlib.Path, tables: Mapping[str, Vocabulary]) -> None:
    """Makes both files of a store that is being written."""
    known(tables).write_parquet(folder / KNOWN_FILE)
    others(tables).write_parquet(folder / OTHERS_FILE)


def known(tables: Mapping[str, Vocabulary]) -> "pl.DataFrame":
    """The frame of a `KNOWN_FILE`."""
    import polars as pl

    schema = {"field": pl.String, "value": pl.String, "count": pl.Int64}
    return pl.concat(
        [
            pl.DataFrame(schema=schema),
            *(
                pl.DataFrame({"value": table.values, "count": table.counts}).select(
                    pl.lit(field).alias("field"), "value", "count"
                )
                for field, table in tables.items()
            ),
        ]
    )


def others(tables: Mapping[str, Vocabulary]) -> "pl.DataFrame":
    """The frame of an `OTHERS_FILE`."""
    import polars as pl

    return pl.concat(
        [
            pl.DataFrame(schema={"field": pl.String, "value": pl.String}),
            *(
                pl.DataFrame({"value": table.others}).select(
                    pl.lit(field).alias("field"), "value"
                )
                for field, table in tables.items()
            ),
        ]
    )


def _read(file: pathlib.Path) -> dict[str, Vocabulary]:
    """The vocabularies of a `KNOWN_FILE`; what has no id is not in it."""
    import polars as pl

    none = pl.Series(dtype=pl.String)
    with _told(file):
        return {
            name: Vocabulary(
                part["value"].cast(pl.String), part["count"].cast(pl.Int64), none
            )
            for name, part in _by_field(file)
        }


def _read_others(file: pathlib.Path) -> "dict[str, pl.Series]":
    """The values of an `OTHERS_FILE`, by the names of the fields."""
    import polars as pl

    with _told(file):
        return {name: part["value"].cast(pl.String) for name, part in _by_field(file)}


def _by_field(file: pathlib.Path) -> "Iterator[tuple[str, pl.DataFrame]]":
    """The rows of each field in a file, which may not exist."""
    import polars as pl

    if file.is_file():
        table = pl.read_parquet(file, glob=False, hive_partitioning=False)
        for (field,), part in table.group_by("field", maintain_order=True):
            yield str(field), part


@contextlib.contextmanager
def _told(file: pathlib.Path) -> Iterator[None]:
    """Tells what polars finds wrong with a file in one line, panics as well."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{file} is damaged ({reason}).") from None
