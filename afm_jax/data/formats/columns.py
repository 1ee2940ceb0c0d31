"""The columns that a user names, of sources that have any columns."""

import dataclasses
from collections.abc import Collection, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import missing, text
from afm_jax.errors import InputError

OPTIONS = ("label", "categorical", "numeric", "multi_valued", "separator", "time")


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Names of the columns to use; OPTIONS says which.

    Attributes:
        label: the column of the labels; '' for rows without.
        categorical: the columns of categories.
        numeric: the columns of numbers.
        multi_valued: the columns with any number of values.
        separators: what stands between the values of each multi-valued column, if it is
            text.
        time: a column of numbers to order the rows by, or None.
    """

    label: str
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    multi_valued: tuple[str, ...]
    separators: tuple[str, ...]
    time: str | None

    @classmethod
    def of(cls, options: formats.Options) -> "Chosen":
        """The columns that the options name.

        Raises:
            InputError: no label, no columns, a column in two roles, or a name that polars
                takes for a pattern.
        """
        if not options["label"]:
            raise InputError("Which column is the label? Give --label=NAME.")
        chosen = cls(
            label=options["label"],
            categorical=tuple(options["categorical"]),
            numeric=tuple(options["numeric"]),
            multi_valued=tuple(options["multi_valued"]),
            separators=separators(options["multi_valued"], options),
            time=options["time"],
        )
        names = [*chosen.categorical, *chosen.numeric, *chosen.multi_valued]
        if not names:
            raise InputError(
                "Which columns are features? Give --categorical, --numeric or --multi_valued=NAME,NAME,..."
            )
        names.append(chosen.label)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(
                f"Column {twice[0]!r} is named twice; it has one role: label, categorical, numeric or multi_valued."
            )
        if chosen.time in {*names} - {*chosen.numeric}:
            raise InputError(
                f"Column {chosen.time!r} is the time and the label or a category; a time may be a numeric column as well, but no other. Copy the column under another name."
            )
        refuse_patterns(chosen.names)
        if not all(chosen.separators):
            raise InputError("--separator must not be empty.")
        return chosen

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """Name and role of all columns needed; a time that is a feature is there twice."""
        roles = [(self.label, "label")] if self.label else []
        for role in ("categorical", "numeric", "multi_valued"):
            roles += [(name, role) for name in getattr(self, role)]
        return (*roles, (self.time, "time")) if self.time else tuple(roles)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns needed."""
        return tuple(dict(self.roles))

    @property
    def layout(self) -> formats.Layout:
        """The layout of the frames that `select` gives."""
        columns = [formats.Column(name, "numeric") for name in self.numeric]
        columns += [formats.Column(name, "categorical") for name in self.categorical]
        columns += [formats.Column(name, "multi_valued") for name in self.multi_valued]
        label = f"{self.label} is 1"
        order = formats.TIME if self.time else None
        return formats.Layout(label, tuple(columns), order)

    def select(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The chosen columns of a frame whose label column is 0 or 1 already.

        Categorical columns are text; multi-valued ones are lists of text, or text that
        is cut at the separator. Missing categories become null, missing items are
        dropped.
        """
        lists = []
        for name, separator in zip(self.multi_valued, self.separators, strict=True):
            items = pl.col(name)
            if not isinstance(frame.schema[name], pl.List):
                items = items.str.split(separator)
            there = missing.without_missing(pl.element()).drop_nulls()
            lists.append(items.list.eval(there))
        label = []
        if self.label:
            label = [pl.col(self.label).cast(pl.Float32).alias(formats.LABEL)]
        time = [pl.col(self.time).alias(formats.TIME)] if self.time else []
        return frame.select(
            *label,
            *(pl.col(name).cast(pl.Float64) for name in self.numeric),
            *(missing.without_missing(pl.col(name)) for name in self.categorical),
            *lists,
            *time,
        )


def separators(names: Sequence[str], options: formats.Options) -> tuple[str, ...]:
    """The separators of multi-valued columns of these names.

    The option 'separator' is one for all, or as many as 'multi_valued' has names.
    """
    given = options.get("separator", "|")
    if isinstance(given, str):
        return (given,) * len(names)
    by_name = dict(zip(options["multi_valued"], given, strict=True))
    return tuple(by_name[name] for name in names)


def refuse_patterns(names: Sequence[str]) -> None:
    """Raises InputError for a name that polars takes for a pattern of names.

    `polars.selectors.by_name` does not, but methods of a series with such a name do.
    """
    for name in names:
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise InputError(
                f"A column named {name!r} cannot be told from a pattern of names; rename the column."
            )


def require(where: str, names: Sequence[str], wanted: Collection[str]) -> None:
    """Checks the names of the columns of a file; those that are not wanted may be any.

    Raises:
        InputError: a wanted column is not there, or is there twice.
    """
    for name in wanted:
        if name not in names:
            told = ", ".join(map(text.shown, names[:50]))
            more = f", ... ({len(names)} columns)" if len(names) > 50 else ""
            raise InputError(f"{where} has no column {name!r}; it has {told}{more}.")
        if list(names).count(name) > 1:
            raise InputError(f"{where} has two columns named {name!r}.")
