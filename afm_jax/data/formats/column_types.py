"""One type for each column over all files of a format that has types.

Equal categories must have equal text, whatever file they stand in, and times must be
numbers of one unit. So the types of a column in all files are compared before any row is
read, and every value is told in a way that does not depend on the type of its file.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from afm_jax.errors import InputError

_NUMBERS = frozenset({"whole", "Float16", "Float32", "Float64", "decimal"})
_EXACT = {"Float16": 2**11, "Float32": 2**24, "Float64": 2**53}
"""From here on a type of floats does not hold every whole number."""

_WHOLE = r"^-?\d+$"
_LARGEST_INT128 = float(2**127)
_Unit = Literal["ms", "us", "ns"]
_UNITS: tuple[_Unit, ...] = ("ms", "us", "ns")


def _alone(*forms: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({form}) for form in forms)


_CATEGORIES = (
    _NUMBERS,
    *_alone("truth", "text", "date", "datetime", "instant", "time of day"),
)
_GROUPS = {
    "label": (_NUMBERS | {"truth"}, frozenset({"text"})),
    "weight": (_NUMBERS,),
    "numeric": (_NUMBERS | {"truth"},),
    "time": (
        _NUMBERS,
        frozenset({"date", "datetime"}),
        *_alone("truth", "text", "instant", "time of day", "duration"),
    ),
    "categorical": _CATEGORIES,
    "multi_valued": _CATEGORIES,
}
"""For each role the forms that a column may have; those in one set may stand in different
files of one source."""

_EXPECTED = {
    "label": "numbers, truth values or text",
    "weight": "numbers",
    "numeric": "numbers",
    "time": "numbers or dates",
    "categorical": "text, numbers, truth values, dates or times",
    "multi_valued": "text, or lists of text, numbers, truth values, dates or times",
}


@dataclasses.dataclass(frozen=True)
class ColumnType:
    """What the values of a column are in all files.

    Attributes:
        forms: the forms of the values, each with a file, or frame, that has it.
        unit: 'ms', 'us' or 'ns', the finest unit of dates, datetimes and durations.
    """

    forms: Mapping[str, object]
    unit: _Unit

    @classmethod
    def of(cls, name: str, role: str, kinds: Mapping[Any, pl.DataType]) -> "ColumnType":
        """The type of a column.

        Files in which the column has no value at all (type Null) fit any others.

        Args:
            name: of the column.
            role: 'label', 'categorical', 'numeric', 'multi_valued' or 'time'.
            kinds: the column's type in each file, or frame.

        Raises:
            InputError: a type that the role cannot have, or types of two files whose
                values cannot be compared.
        """
        forms: dict[str, object] = {}
        first: tuple[Any, object] | None = None
        for path, kind in kinds.items():
            form, listed = _form(_inner(kind)), _is_listed(kind)
            groups = [group for group in _GROUPS[role] if form in group]
            misplaced = listed and role != "multi_valued"
            if misplaced or not (groups or form == "null"):
                advice = " (--multi_valued takes lists)" if misplaced else ""
                raise InputError(
                    f"{path}: column {name!r} is of type {shortened(kind)}, expected {_EXPECTED[role]}{advice}."
                )
            if form == "null":
                continue
            first = first or (path, (groups, listed))
            if (groups, listed) != first[1]:
                raise InputError(
                    f"{path}: column {name!r} is of type {shortened(kind)}, but in {first[0]} of type {shortened(kinds[first[0]])}; expected one type in all files."
                )
            forms.setdefault(form, path)
        units: set[_Unit] = {
            getattr(_inner(kind), "time_unit", "ms") for kind in kinds.values()
        }
        return cls(forms, max(units, key=_UNITS.index, default="ms"))

    def another(self, kind: pl.DataType) -> object:
        """A file whose values have another form than those of this type, if any has."""
        form = _form(_inner(kind))
        return next((path for of, path in self.forms.items() if of != form), None)

    def clock(self, is_read: bool, name: str) -> str:
        """What times are, 'numbers', 'dates', or 'others' from which no clock is read.

        Args:
            is_read: whether a clock is to be read from them.
            name: of the column, for the error.

        Raises:
            InputError: it is to be read, and cannot be.
        """
        forms = {*self.forms}
        if forms <= _NUMBERS:
            return "numbers"
        if forms <= {"date", "datetime", "instant", "text"}:
            return "dates"
        if is_read:
            raise InputError(
                f"--time_fields: column {name!r} holds values of the form {min(forms)}, which tell no day; expected dates, or numbers with --time_unit."
            )
        return "others"

    def time(self, values: pl.Expr, kind: pl.DataType) -> pl.Expr:
        """Int64 or Float64 numbers that rise with time, of one unit for all files.

        Null where there is no time, or none that the unit or Float64 can hold exactly.
        """
        if kind.is_temporal() and kind != pl.Time:
            zone = getattr(kind, "time_zone", None)
            finest = (
                pl.Duration(self.unit)
                if kind == pl.Duration
                else pl.Datetime(self.unit, zone)
            )
            return values.cast(finest, strict=False).to_physical()
        if kind == pl.Time or kind == pl.Boolean:
            return values.to_physical().cast(pl.Int64)
        if kind.is_integer():
            if self.another(kind) is None:
                return values.cast(pl.Int64, strict=False)
            limit = _EXACT["Float64"]
            values = pl.when(values.is_between(-limit, limit)).then(values)
        numbers = values.cast(pl.Float64)
        return pl.when(numbers.is_finite()).then(numbers)

    def comparable(self, kind: pl.DataType) -> str:
        """In words, which numbers of this type can be compared with those of `another`."""
        limit = _EXACT.get(_form(_inner(kind)))
        below = f" below {limit}" if limit else ""
        return f"a whole number{below}, because the column has another type in {self.another(kind)}"

    def is_doubtful(self, values: pl.Expr, kind: pl.DataType) -> pl.Expr:
        """Whether a category is not `comparable`.

        It has a fraction, or is so large that floats do not hold every whole number.
        """
        if _is_listed(kind):
            items = self.is_doubtful(pl.element(), _inner(kind))
            return _lists(values, kind).list.eval(items).list.any()
        doubtful = ~text(values, kind).str.contains(_WHOLE)
        if kind.is_float():
            doubtful |= values.is_not_nan() & (values.abs() >= _EXACT[_form(kind)])
        return doubtful


def text(values: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Categories as text that is equal for equal values, whatever their type.

    Whole floats and decimals are written as whole numbers are. Datetimes have as many
    digits as they need, and those of a time zone are told in UTC, with a Z. Lists, of any
    or a fixed size, become lists of text.
    """
    if _is_listed(kind):
        return _lists(values, kind).list.eval(text(pl.element(), _inner(kind)))
    if kind.is_float():
        whole = (values == values.floor()) & (values.abs() < _LARGEST_INT128)
        digits = values.cast(pl.Int128, strict=False).cast(pl.String)
        shortest = values.fill_nan(None).cast(pl.String)
        return pl.when(whole).then(digits).otherwise(shortest)
    if isinstance(kind, pl.Decimal):
        digits = values.cast(pl.String)
        return digits.str.replace(r"\.?0+$", "") if kind.scale else digits
    if isinstance(kind, pl.Datetime):
        shown = "%Y-%m-%d %H:%M:%S%.f"
        if kind.time_zone is None:
            return values.dt.to_string(shown)
        return values.dt.convert_time_zone("UTC").dt.to_string(f"{shown}Z")
    if kind == pl.Time:
        return values.dt.to_string("%H:%M:%S%.f")
    return values.cast(pl.String)


def _lists(values: pl.Expr, kind: pl.DataType) -> pl.Expr:
    return values.arr.to_list() if isinstance(kind, pl.Array) else values


def _is_listed(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.List | pl.Array)


def _inner(kind: pl.DataType) -> pl.DataType:
    return kind.inner if isinstance(kind, pl.List | pl.Array) else kind  # type: ignore


def _form(kind: pl.DataType) -> str:
    """What a value of this type is; '' if it is nothing that a column may hold."""
    if kind.is_integer():
        return "whole"
    if kind.is_float():
        return str(kind)
    if kind.is_decimal():
        return "decimal"
    if isinstance(kind, pl.Datetime):
        return "datetime" if kind.time_zone is None else "instant"
    forms = {
        pl.Null: "null",
        pl.Boolean: "truth",
        pl.String: "text",
        pl.Categorical: "text",
        pl.Enum: "text",
        pl.Binary: "text",
        pl.Date: "date",
        pl.Time: "time of day",
        pl.Duration: "duration",
    }
    return forms.get(kind.base_type(), "")


def shortened(shown: object) -> str:
    """A type or value as part of one line of an error."""
    line = " ".join(str(shown).split())
    return line if len(line) <= 80 else f"{line[:77]}..."
