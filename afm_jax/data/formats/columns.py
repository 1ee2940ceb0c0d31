"""The columns that a user names, of sources that have any columns."""

import collections
import dataclasses
from collections.abc import Callable, Collection, Sequence

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import kept, labels, missing, roles, text, times
from afm_jax.data.formats.labels import Labels
from afm_jax.data.formats.refusals import Refuse
from afm_jax.errors import InputError

_VALUES = ("categorical", "numeric", "multi_valued", "separator", "na_values")
_TIMES = ("time", "time_fields", "time_unit")

OPTIONS = ("label", *labels.OPTIONS, "weight", *_VALUES, *_TIMES)

ALL = kept.ALL
"""As --categorical: all columns that no other flag names."""


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
        time: a column to order the rows by, or None.
        labels: what the values of the label column mean.
        weight: the column of the rows' weights, or None.
        time_fields: which fields of `times.FIELDS` the time gives.
        time_unit: in which unit of `times.UNITS` times that are numbers count, or None.
        na_values: categories, and items of lists, that are missing (see `missing`).
        kept: columns that frames hold as they stand, too, under `formats.KEPT` names.
    """

    label: str
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    multi_valued: tuple[str, ...]
    separators: tuple[str, ...]
    time: str | None
    labels: Labels = dataclasses.field(default_factory=Labels)
    weight: str | None = None
    time_fields: tuple[str, ...] = ()
    time_unit: str | None = None
    na_values: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, options: formats.Options, names: Callable[[], Sequence[str]]
    ) -> "Chosen":
        """The columns that the options name.

        For rows that are to be predicted there is an option 'kept', the columns to keep
        ('*' for all). A label need not be named. The label and the weight then are left out if no column has their
        name, and so is a time that only orders the rows.

        Args:
            options: those of OPTIONS.
            names: gives the names of all columns of the source, which '*' stands for.

        Raises:
            InputError: no label, no columns, a column in two roles, or a name that polars
                takes for a pattern.
        """
        if not options["label"] and "kept" not in options:
            raise InputError("Which column is the label? Give --label=NAME.")
        chosen = cls(
            label=options["label"] or "",
            categorical=tuple(options["categorical"]),
            numeric=tuple(options["numeric"]),
            multi_valued=tuple(options["multi_valued"]),
            separators=separators(options["multi_valued"], options),
            time=options["time"],
            labels=Labels.of(options),
            weight=options.get("weight"),
            time_fields=tuple(options.get("time_fields") or ()),
            time_unit=options.get("time_unit"),
            na_values=tuple(options.get("na_values", ())),
        )
        if ALL in chosen.categorical:
            chosen = chosen._with_all(names())
        if "kept" in options:
            chosen = chosen._for_new_rows(names(), options)
        roles.check(chosen)
        refuse_patterns(chosen.names)
        if not all(chosen.separators):
            raise InputError("--separator must not be empty.")
        return chosen

    def _with_all(self, names: Sequence[str]) -> "Chosen":
        """The same, with the names that '*' stands for."""
        if self.categorical != (ALL,):
            raise InputError(
                f"--categorical={','.join(self.categorical)}: '*' stands for all columns that no other flag names; give it alone."
            )
        bare = dataclasses.replace(self, categorical=())
        others = tuple(name for name in names if name not in bare.names)
        if "" in others:
            raise InputError(
                f"--categorical='*': column {list(names).index('') + 1} has no name, as the index that pandas writes; give it a name, leave it out, or name the columns."
            )
        if not others:
            raise InputError("--categorical='*': other flags name all columns.")
        return dataclasses.replace(self, categorical=others)

    def _for_new_rows(self, names: Sequence[str], options: formats.Options) -> "Chosen":
        """The same, for rows of a source with columns of these names."""
        return dataclasses.replace(
            self,
            label=self.label if self.label in names else "",
            weight=self.weight if self.weight in names else None,
            time=self.time if self.time_fields else None,
            kept=kept.names(options, names),
        )

    def refuse_time_unit(self, kind: str) -> None:
        """Raises InputError if times of a kind, 'numbers' or 'dates', have no such unit."""
        if kind == "numbers" and self.time_fields and self.time_unit is None:
            raise InputError(
                f"--time_fields: the times in {self.time!r} are numbers; give --time_unit, the unit in which they count from 1970: {', '.join(times.UNITS)}."
            )
        if kind == "dates" and self.time_unit is not None:
            raise InputError(
                f"--time_unit={self.time_unit} has no meaning: the times in {self.time!r} are dates, not numbers."
            )

    @classmethod
    def of_layout(cls, layout: formats.Layout, options: formats.Options) -> "Chosen":
        """The columns of a layout, without a label: for rows that are to be predicted.

        Args:
            layout: the columns.
            options: of the preparation, for separators, fields of the time and what is
                missing.
        """
        fields = tuple(options.get("time_fields") or ())
        time = options["time"] if fields else None
        derived = names_of_time_fields(time, fields)
        named = collections.defaultdict[str, list[str]](list)
        for column in layout.columns:
            if column.name not in derived:
                named[column.kind].append(column.name)
        return cls(
            label="",
            categorical=tuple(named["categorical"]),
            numeric=tuple(named["numeric"]),
            multi_valued=tuple(named["multi_valued"]),
            separators=separators(named["multi_valued"], options),
            time=time,
            time_fields=fields,
            time_unit=options.get("time_unit"),
            na_values=tuple(options.get("na_values", ())),
        )

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """Name and role of all columns needed; a time that is a feature is there twice."""
        roles = [(self.label, "label")] if self.label else []
        if self.weight:
            roles.append((self.weight, "weight"))
        for role in ("categorical", "numeric", "multi_valued"):
            roles += [(name, role) for name in getattr(self, role)]
        return (*roles, (self.time, "time")) if self.time else tuple(roles)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns needed."""
        return tuple(dict.fromkeys([*dict(self.roles), *self.kept]))

    @property
    def names_of_time_fields(self) -> tuple[str, ...]:
        """The names of the fields that the time gives."""
        return names_of_time_fields(self.time, self.time_fields)

    @property
    def layout(self) -> formats.Layout:
        """The layout of the frames that `select` gives."""
        columns = [formats.Column(name, "numeric") for name in self.numeric]
        columns += [
            formats.Column(name, "categorical")
            for name in (*self.categorical, *self.names_of_time_fields)
        ]
        columns += [formats.Column(name, "multi_valued") for name in self.multi_valued]
        order = formats.TIME if self.time else None
        label = self.labels.told(self.label)
        return formats.Layout(label, tuple(columns), order, self.labels.kind)

    def select(
        self, frame: pl.DataFrame, refuse: Refuse, wall: pl.Series | None = None
    ) -> pl.DataFrame:
        """The chosen columns of a frame.

        Labels are read by their rule, and weights are float32. Categorical columns are
        text; multi-valued ones are lists of text, or text that is cut at the separator.
        Missing categories become null, missing items are dropped; see `missing`.

        Args:
            frame: all columns needed; the label is text, numbers or truth values, the
                weight numbers and the time numbers without nulls.
            refuse: says what is wrong with a label or a weight.
            wall: what the time shows, as in `times.Times`, if there are time fields.

        Raises:
            InputError: as `refuse`.
        """
        lists = []
        for name, separator in zip(self.multi_valued, self.separators, strict=True):
            items = pl.col(name)
            if not isinstance(frame.schema[name], pl.List):
                items = items.str.split(separator)
            there = missing.without_missing(pl.element(), self.na_values).drop_nulls()
            lists.append(items.list.eval(there))
        derived = () if wall is None else times.fields(wall, self.time_fields)
        more = [
            each.alias(name)
            for each, name in zip(derived, self.names_of_time_fields, strict=True)
        ]
        if self.time:
            more.append(frame[self.time].alias(formats.TIME))
        if self.weight:
            more.append(_weights(frame[self.weight], refuse).alias(formats.WEIGHT))
        label = []
        if self.label:
            found = self.labels.read(frame[self.label], refuse)
            label.append(found.alias(formats.LABEL))
        return frame.select(
            *label,
            *(pl.col(name).cast(pl.Float64) for name in self.numeric),
            *(
                missing.without_missing(pl.col(name), self.na_values)
                for name in self.categorical
            ),
            *lists,
            *more,
        )


def _weights(values: pl.Series, refuse: Refuse) -> pl.Series:
    numbers = values.cast(pl.Float64)
    there = numbers.is_between(0, labels.LARGEST).fill_null(False)
    refuse(values, ~there, "a weight, a finite number of 0 or more")
    return numbers.cast(pl.Float32)


def names_of_time_fields(time: str | None, fields: Sequence[str]) -> tuple[str, ...]:
    """The names of fields of `times.FIELDS` that a column of times gives."""
    return tuple(f"{time}_{field}" for field in fields)


def separators(names: Sequence[str], options: formats.Options) -> tuple[str, ...]:
    """The separators of multi-valued columns of these names.

    The option 'separator' is one for all, or as many as 'multi_valued' has names; or else
    InputError is raised.
    """
    given = options.get("separator", "|")
    if isinstance(given, str):
        return (given,) * len(names)
    by_name = dict(zip(options["multi_valued"], given, strict=False))
    if not {*names, *options["multi_valued"]} <= {*by_name}:
        raise InputError("--separator: expected one, or one for each column of lists.")
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
