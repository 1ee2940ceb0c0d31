"""Kinds of fields: what a column of codes or numbers becomes, one file a kind.

A file of this package that has a `KIND` is a kind of that name. It says which columns it
takes, which options it has, and how it makes ids of them. Nothing else names it: the
flags of `data.prepare`, the preparation and the schema find it here.
"""

import dataclasses
import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from afm_jax.data.fields.codes import Block, Coder
from afm_jax.data.formats import Layout, Option
from afm_jax.errors import InputError
from afm_jax.features import Field

if TYPE_CHECKING:
    import polars as pl

    from afm_jax.data.fields.vocabulary import Coded, Vocabulary


@dataclasses.dataclass(frozen=True)
class Given:
    """What a counter is made of, once all rows are codes and numbers.

    Attributes:
        name: the column's name.
        index: its place among the columns of its kind in a `Block`.
        setting: what `Kind.settings` found for it, or None.
        options: all options of the preparation.
        train_rows: number of training rows.
        strings: the texts of its codes, that of code c at c - 1; empty for numbers.
    """

    name: str
    index: int
    setting: Any
    options: Mapping[str, Any]
    train_rows: int
    strings: "pl.Series"


class Counter(Protocol):
    """A column on its way to a field: told all training rows, then fitted."""

    def count(self, block: Block, train: np.ndarray) -> None:
        """Takes note of the training rows of a block, whose indices are `train`."""

    def fit(self, offset: int) -> "Fitted":
        """The column as a field, whose ids begin at `offset`.

        Raises:
            InputError: no training row has a value.
        """


def _not_told_apart(block: Block) -> None:
    del block


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A column as a field: makes ids of its values, of training rows or of new ones.

    Attributes:
        field: the field.
        vocabulary: the values with ids of their own; None if no ids are of single
            values.
        write: (block, ids, values) -> None. It writes a block into int32 ids [N, slots]
            and float32 values [N, slots], ones so far, or None.
        unseen: block -> the values without an id, int64 [M, 2], as in
            `store.reader.UnseenValues`. None for a field whose values have no numbers:
            buckets, and several slots.
    """

    field: Field
    vocabulary: "Vocabulary | None"
    write: Callable[[Block, np.ndarray, np.ndarray | None], None]
    unseen: Callable[[Block], np.ndarray | None] = _not_told_apart


class Scale(NamedTuple):
    """How numbers that stay numbers are scaled, (x - shift) / scale.

    Attributes:
        transform: `DenseColumn.transform` of the column.
        constants: (mean, standard deviation, smallest, largest) of the training rows ->
            (shift, scale).
    """

    transform: str
    constants: Callable[[float, float, float, float], tuple[float, float]]


def _no_settings(layout: Layout, options: Mapping[str, Any]) -> Mapping[str, Any]:
    del layout, options
    return {}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of field.

    Attributes:
        column: the kind of column that it takes: 'categorical', 'numeric' or
            'multi_valued'.
        counter: makes the counter of a column that becomes a field.
        load: (field, index, coded) -> what `Counter.fit` gave. `index` is the column's
            place among those of its kind in a `Block`, and `coded` the ids of its codes,
            or None for a kind without a vocabulary.
        scale: of numbers that stay numbers, which `dense.Dense` encodes all together.
        options: those that it alone has.
        settings: (layout, options) -> the columns that its options name, each with what
            they set for it.
        told: for numbers, what they become, in words.
        prepare: for numbers, float64 [N] -> [N], applied to a column as it is read.
        coder: for texts, setting -> the coder of a column, if it needs no texts.
        has_vocabulary: whether single values have ids of their own.
    """

    column: str
    counter: Callable[[Given], Counter] | None = None
    load: "Callable[[Field, int, Coded | None], Fitted] | None" = None
    scale: Scale | None = None
    options: tuple[Option, ...] = ()
    settings: Callable[[Layout, Mapping[str, Any]], Mapping[str, Any]] = _no_settings
    told: str = ""
    prepare: Callable[[np.ndarray], np.ndarray] | None = None
    coder: Callable[[Any], Coder] | None = None
    has_vocabulary: bool = False


class Choice(NamedTuple):
    """The kind of a column, and what its options set for the column."""

    kind: str
    setting: Any = None


DEFAULTS = {
    "categorical": Choice("categorical"),
    "numeric": Choice("dense"),
    "multi_valued": Choice("multi_valued"),
}
"""What columns become that no option names."""


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """All kinds by name, sorted."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return {
        name: module.KIND for name, module in modules.items() if hasattr(module, "KIND")
    }


def options() -> tuple[Option, ...]:
    """The options of all kinds."""
    numeric = ", ".join(f"{name} ({kinds()[name].told})" for name in _numeric_kinds())
    shared = (
        Option("min_count", 1, "Values with fewer training rows count as unseen.", 1),
        Option(
            "numeric_as",
            ("dense",),
            f"What numbers become: {numeric}. KIND sets all numeric columns, and COLUMN:KIND sets one. If not given, they are dense.",
        ),
    )
    return (*shared, *(each for kind in kinds().values() for each in kind.options))


def _numeric_kinds() -> list[str]:
    """The kinds that numbers may become, that of columns that no option names first."""
    names = [name for name, kind in kinds().items() if kind.column == "numeric"]
    return sorted(names, key=lambda name: name != DEFAULTS["numeric"].kind)


def choose(layout: Layout, options: Mapping[str, Any]) -> dict[str, Choice]:
    """What each column becomes, by its name.

    Args:
        layout: the columns.
        options: of the preparation.

    Raises:
        InputError: an option names a column or a kind that does not exist.
    """
    chosen = {column.name: DEFAULTS[column.kind] for column in layout.columns}
    numeric = _numeric_kinds()
    # Without numeric columns there is nothing that the default could mean.
    given = [
        setting
        for setting in options["numeric_as"]
        if setting != "dense" or "numeric" in {column.kind for column in layout.columns}
    ]
    for name, kind in layout.settings("numeric", "numeric_as", given).items():
        if kind not in numeric:
            raise InputError(f"--numeric_as: {kind!r} is none of {', '.join(numeric)}.")
        chosen[name] = Choice(kind)
    for kind, what in kinds().items():
        for name, setting in what.settings(layout, options).items():
            chosen[name] = Choice(kind, setting)
    return chosen


def prepare(
    numbers: np.ndarray, layout: Layout, chosen: Mapping[str, Choice]
) -> np.ndarray:
    """The numbers, float64 [numeric columns, N], as the kinds of their columns want them."""
    names = [column.name for column in layout.columns if column.kind == "numeric"]
    for row, name in zip(numbers, names, strict=True):
        transform = kinds()[chosen[name].kind].prepare
        if transform is not None:
            row[:] = transform(row)
    return numbers


def coders(chosen: Mapping[str, Choice]) -> dict[str, Coder]:
    """The coders of the columns whose kinds bring one, by name."""
    return {
        name: coder(choice.setting)
        for name, choice in chosen.items()
        if (coder := kinds()[choice.kind].coder) is not None
    }
