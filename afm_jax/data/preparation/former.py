"""New rows as an old store, or a run, encoded its own rows: nothing is fitted on them."""

import dataclasses
import logging
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from afm_jax.data.fields.vocabulary import warn_of_two_forms
from afm_jax.data.formats import columns, dialect
from afm_jax.data.preparation.encoding import Encoding
from afm_jax.data.preparation.options import DEFAULTS, HOW_TO_SPLIT
from afm_jax.data.preparation.spill import Spill
from afm_jax.data.store import folders, reader
from afm_jax.data.store.reader import Store
from afm_jax.data.store.vocabularies import KNOWN_FILE, Vocabularies
from afm_jax.errors import InputError, path
from afm_jax.features import FIRST, Schema

_WRITTEN = {option.name for option in dialect.OPTIONS}

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Former:
    """What an old store, or a run, knows of its encoding.

    Attributes:
        folder: where it is; None for a store in memory.
        schema: of its rows.
        vocabularies: of its fields.
        counts: int64 [vocab_size], how many slots of its training rows held each id; see
            `Store.counts`.
        weighted: whether its rows had values.
    """

    folder: pathlib.Path | None
    schema: Schema
    vocabularies: Vocabularies
    counts: np.ndarray
    weighted: bool = False

    @classmethod
    def of(cls, like: Any) -> "Former":
        """What a store or a run knows.

        Args:
            like: a store, or the folder of one, or of a run; or what has such a `folder`.
                A `Former` is returned as it is.

        Raises:
            InputError: it is none of these, or it is damaged.
        """
        if isinstance(like, Former):
            return like
        if isinstance(like, Store):
            return cls._of_store(None, like)
        folder = path("like", getattr(like, "folder", like)).resolve()
        store = folders.locate(folder)
        if store is not None:
            data_dir, name = store
            return cls._of_store(data_dir / name, reader.open_store(data_dir, name))
        if (folder / folders.SCHEMA_FILE).is_file():
            return cls._of_run(folder)
        inside = folders.names(folder)
        advice = "expected the folder of a store, such as prepared/csv, or of a run"
        if inside:
            advice = f"it holds the stores {', '.join(inside)}: name one of them, such as {folder / inside[0]}"
        raise InputError(f"--like: {folder} is no store and no run; {advice}.")

    @classmethod
    def _of_store(cls, folder: pathlib.Path | None, store: Store) -> "Former":
        weighted = any(rows.values is not None for rows in store.splits.values())
        return cls(folder, store.schema, store.vocabularies, store.counts, weighted)

    @classmethod
    def _of_run(cls, folder: pathlib.Path) -> "Former":
        schema = reader.read_schema(folder)
        known = Vocabularies(file=folder / KNOWN_FILE)
        # A run does not tell which of the other ids it trained, so each counts as trained:
        # what it has learned of them is never replaced by a mean.
        counts = np.ones(schema.vocab_size, np.int64)
        for field in schema.fields:
            if field.name in known.tables():
                found = known.tables()[field.name].counts.to_numpy()
                start, stop = field.offset + FIRST, field.offset + field.vocab_size
                if len(found) == stop - start:  # else the vocabulary is refused, later
                    counts[start:stop] = found
        return cls(folder, schema, known, counts)

    @property
    def told(self) -> str:
        """What it is, for messages."""
        return "the old store" if self.folder is None else str(self.folder)

    def options(
        self, given: Mapping[str, Any], known: Collection[str]
    ) -> dict[str, Any]:
        """The options of a preparation of new rows: the old ones, and how to split.

        Args:
            given: what the user asks for.
            known: the names of the options that the source has.

        Raises:
            InputError: an option that is given, and is not as it was.
        """
        own = self.schema.options
        for name, value in given.items():
            if name in HOW_TO_SPLIT or name not in known:
                continue
            if name in _WRITTEN and name not in own:  # of a format without it
                continue
            before = own.get(name, DEFAULTS[name])
            if not _agree(value, before):
                found = f"with {_shown(before)}" if before else "without it"
                raise InputError(
                    f"--{name}={_shown(value)}, but {self.told} was prepared {found}; leave it out: new rows are encoded as the old ones."
                )
        old = {name for name in known if name in own and name not in HOW_TO_SPLIT}
        return {**given, **{name: own[name] for name in old}}

    def encoding(self, spill: Spill) -> Encoding:
        """The encoding of the rows of a spill.

        Raises:
            InputError: a column is not there, or has another kind, or a vocabulary is
                not known.
        """
        strings = {name: of.strings() for name, of in spill.dictionaries.items()}
        vocabularies = self.vocabularies.complete()
        for name in strings.keys() & vocabularies.keys():
            warn_of_two_forms(name, strings[name], vocabularies[name].values)
        encoding = Encoding.load(self.schema, vocabularies, spill.layout, strings)
        used = {field.name for field in self.schema.fields}
        used |= {column.name for column in self.schema.dense}
        more = [each.name for each in spill.layout.columns if each.name not in used]
        if more:
            _log.info("Columns that %s has not: %s.", self.told, ", ".join(more))
        weighted = encoding.weighted or self.weighted or spill.weighted
        return dataclasses.replace(encoding, weighted=weighted)


def _agree(given: Any, before: Any) -> bool:
    if isinstance(given, list | tuple) and isinstance(before, list | tuple):
        # '*' stood for the columns that were there.
        return list(given) == list(before) or tuple(given) == (columns.ALL,)
    return given == before


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
