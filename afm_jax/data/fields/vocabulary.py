"""Vocabularies: ids for the values of a column, by how often they occur."""

import logging
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from afm_jax.data.fields.codes import KnownCoder
from afm_jax.errors import InputError
from afm_jax.features import FIRST, MISSING, UNSEEN, Field

if TYPE_CHECKING:
    import polars as pl

    from afm_jax.data.fields import Given

_log = logging.getLogger(__name__)


class Vocabulary(NamedTuple):
    """The values of a field that have ids of their own; `values[i]` has
    offset + FIRST + i.

    Attributes:
        values: strings by falling count, equal counts by value.
        counts: int64, how often each occurs in the training split.
        others: the values of all splits that have no id, in rising order; `others[i]`
            has the number vocab_size + i (see `store.reader.UnseenValues`).
    """

    values: "pl.Series"
    counts: "pl.Series"
    others: "pl.Series"

    @property
    def crc32(self) -> int:
        """Checksum of the values in id order."""
        crc = 0
        for start in range(0, len(self.values), 65536):
            part = self.values.slice(start, 65536).str.join("\0").item()
            crc = zlib.crc32(f"{part}\0".encode(), crc)
        return crc


def warn_of_two_forms(name: str, *texts: "pl.Series") -> None:
    """Logs a line if the texts of a column hold whole numbers in two forms."""
    import polars as pl

    strings = pl.concat(texts)
    floats = strings.filter(strings.str.ends_with(".0")).str.strip_suffix(".0")
    whole = floats.filter(floats.str.contains(r"^-?\d+$"))
    twice = whole.filter(whole.is_in(strings)) if len(whole) else whole
    if len(twice):
        _log.warning(
            "Column %r holds both '%s' and '%s.0', and %d other whole numbers in two forms; each form counts as a value of its own. Write numbers in one form.",
            name,
            twice[0],
            twice[0],
            len(twice) - 1,
        )


class Coded(NamedTuple):
    """A column of texts whose codes have been given ids.

    Attributes:
        field: the field.
        vocabulary: its values.
        ids: int32 [codes], the id of each code.
        numbers: int64 [codes], the number of each code whose value has no id, else 0;
            None if such values are not told apart.
    """

    field: Field
    vocabulary: Vocabulary
    ids: np.ndarray
    numbers: np.ndarray | None

    def unseen(self, codes: np.ndarray) -> np.ndarray | None:
        """As `fields.Fitted.unseen`, of a block with these codes, [N]."""
        if self.numbers is None:
            return None
        rows = np.flatnonzero(self.ids.take(codes) == self.field.offset + UNSEEN)
        return np.stack([rows, self.numbers.take(codes[rows])], axis=1)


def fit_strings(
    given: "Given",
    offset: int,
    strings: "pl.Series",
    counts: np.ndarray,
    *,
    kind: str = "categorical",
    slots: int = 1,
) -> Coded:
    """Gives ids to the values of a column.

    Args:
        given: the column; by its option 'min_count', values with fewer training rows
            have no id.
        offset: the first id.
        strings: the values; that of code c is at c - 1.
        counts: int64 [codes], how often each code occurs in training rows.
        kind: of the field, if it has one slot.
        slots: of the field.

    Raises:
        InputError: no training row has a value.
    """
    import polars as pl

    if not counts[1:].any():
        raise always_missing(given.name)
    least = max(given.options["min_count"], 1)
    known = np.flatnonzero(counts[1:] >= least)
    table = pl.DataFrame(
        {
            "value": strings.gather(known),
            "count": counts[1:][known],
            "code": known + 1,
        }
    ).sort(["count", "value"], descending=[True, False])
    rare = np.flatnonzero(counts[1:] < least)
    others = pl.DataFrame({"value": strings.gather(rare), "code": rare + 1}).sort(
        "value"
    )
    vocabulary = Vocabulary(table["value"], table["count"], others["value"])
    ids = np.full(len(counts), offset + UNSEEN, np.int32)
    ids[0] = offset + MISSING
    ids[table["code"].to_numpy()] = offset + FIRST + np.arange(table.height)
    field = Field(
        name=given.name,
        kind="multi_valued" if slots > 1 else kind,
        vocab_size=FIRST + table.height,
        offset=offset,
        slots=slots,
        vocabulary_crc32=vocabulary.crc32,
    )
    numbers = np.zeros(len(counts), np.int64)
    numbers[others["code"].to_numpy()] = field.vocab_size + np.arange(others.height)
    return Coded(field, vocabulary, ids, numbers)


def load_strings(field: Field, vocabulary: Vocabulary) -> Coded:
    """What `fit_strings` gave, for the codes of a `codes.KnownCoder` of the values."""
    ids = np.arange(len(vocabulary.values) + 2, dtype=np.int32) + FIRST - 1
    ids[0], ids[-1] = MISSING, UNSEEN
    return Coded(field, vocabulary, field.offset + ids, None)


def extend_strings(field: Field, vocabulary: Vocabulary, strings: "pl.Series") -> Coded:
    """Gives the ids that values have already to the values of new rows.

    Args:
        field: the field.
        vocabulary: its values.
        strings: the values of the new rows; that of code c is at c - 1.

    Returns:
        The codes; in the vocabulary, values that are met for the first time stand
        behind the other ones without an id, so that those keep their numbers.
    """
    import polars as pl

    codes = _codes(vocabulary.values, strings)
    unseen = np.flatnonzero(codes > len(vocabulary.values))
    met = strings.gather(unseen)
    first_met = met.filter(~met.is_in(vocabulary.others.implode())).sort()
    others = pl.concat([vocabulary.others, first_met])
    ids = np.append(MISSING, codes + FIRST - 1).astype(np.int32)
    ids[1 + unseen] = UNSEEN
    numbers = np.zeros(len(ids), np.int64)
    numbers[1 + unseen] = field.vocab_size + _codes(others, met) - 1
    return Coded(field, vocabulary._replace(others=others), field.offset + ids, numbers)


def _codes(values: "pl.Series", strings: "pl.Series") -> np.ndarray:
    """int64 [len(strings)], the codes of a `codes.KnownCoder` of the values."""
    import polars as pl

    frame = strings.alias("value").to_frame()
    found = frame.select(KnownCoder(values).codes(pl.col("value")))
    return found.to_series().to_numpy().astype(np.int64)


def always_missing(name: str) -> InputError:
    """The error for a column that no training row has."""
    return InputError(
        f"Column {name!r} is missing in every training row; expected some values. Leave it out, or take more rows."
    )
