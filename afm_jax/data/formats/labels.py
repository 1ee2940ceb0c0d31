"""Which rows have which label: one rule for every format.

Without options a label is 0 or 1, -1 and 1, a truth value, true and false or yes and no in any
case of letters, or a probability between 0 and 1.
"""

import math

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import column_types, missing, text
from afm_jax.data.formats.refusals import Refuse
from afm_jax.errors import InputError

OPTIONS = ("positive", "positive_from", "real_labels")

LARGEST = 3.4028234663852886e38
"""The largest number of float32, of which labels and weights are."""

_OTHERS = 5
"""How many labels are named that are not the positive one."""


class Labels:
    """From the values of a column to labels, part by part, in any thread.

    Attributes:
        positive: the one value whose label is 1, or None.
        positive_from: the least number whose label is 1, or None.
        real: whether labels are any numbers, taken as they are.
    """

    def __init__(
        self,
        *,
        positive: str | None = None,
        positive_from: float | None = None,
        real: bool = False,
        decimal: str = ".",
    ):
        self.positive, self.positive_from, self.real = positive, positive_from, real
        self._decimal = decimal
        self._met: set[str] = set()
        self._others: set[str] = set()

    @classmethod
    def of(cls, options: formats.Options) -> "Labels":
        """The rule that the options name.

        Raises:
            InputError: more than one, or a number that is none.
        """
        given = [name for name in OPTIONS if options.get(name) not in (None, False)]
        if len(given) > 1:
            raise InputError(
                f"--{given[0]} and --{given[1]} are two rules for labels; give one."
            )
        least = options.get("positive_from")
        if least is not None and not math.isfinite(least):
            raise InputError(f"--positive_from={least}: expected a finite number.")
        positive = options.get("positive")
        return cls(
            positive=None if positive is None else positive.strip(),
            positive_from=least,
            real=bool(options.get("real_labels")),
            decimal=options.get("decimal", "."),
        )

    @property
    def kind(self) -> str:
        """The narrowest kind of `label_kinds.LABEL_KINDS` that the rule alone promises."""
        return "real" if self.real else "binary"

    def told(self, name: str, *, by_default: str | None = None) -> str:
        """In words, which rows have label 1.

        Args:
            name: what the values are of.
            by_default: the words without an option; None for '<name> is 1'.
        """
        if self.real:
            return f"{name} as it is"
        if self.positive_from is not None:
            return f"{name} is {self.positive_from:g} or more"
        if self.positive is not None:
            return f"{name} is {self.positive}"
        return by_default or f"{name} is 1"

    def read(self, values: pl.Series, refuse: Refuse) -> pl.Series:
        """The labels, Float32 without nulls.

        Args:
            values: String, numbers or Boolean; null where there is none.
            refuse: says what is wrong with a value.

        Raises:
            InputError: as `refuse`.
        """
        if self.positive is not None:
            return self._equal(values, refuse)
        numbers = self._numbers(values)
        if self.positive_from is not None:
            least = f"a number, because of --positive_from={self.positive_from:g}"
            refuse(values, ~numbers.is_finite().fill_null(False), least)
            return (numbers >= self.positive_from).cast(pl.Float32)
        if self.real:
            there = (numbers.abs() <= LARGEST).fill_null(False)
            refuse(values, ~there, "a finite number of float32, a real label")
            return numbers.cast(pl.Float32)
        return self._by_default(values, numbers, refuse)

    def check(self) -> None:
        """To be called once all rows are read.

        Raises:
            InputError: no row is the positive one.
        """
        if self.positive is not None and "positive" not in self._met:
            others = ", ".join(map(text.shown, sorted(self._others)))
            raise InputError(
                f"--positive={self.positive}: no row has this label; there are {others}."
            )

    def _equal(self, values: pl.Series, refuse: Refuse) -> pl.Series:
        positive = self.positive or ""
        expression = column_types.text(pl.col(values.name), values.dtype)
        stripped = missing.without_missing(expression.str.strip_chars())
        texts = values.to_frame().select(stripped).to_series()
        refuse(values, texts.is_null(), f"a label, {text.shown(positive)} or another")
        if values.dtype == pl.Boolean:
            positive = positive.lower()
        equal = texts == positive
        number = self._numbers(pl.Series([positive])).item()
        if number is not None:
            equal |= (self._numbers(texts) == number).fill_null(False)
        if equal.any():
            self._met.add("positive")
        if "positive" not in self._met and len(self._others) < _OTHERS:
            self._others.update(texts.unique().head(_OTHERS).to_list())
        return equal.cast(pl.Float32)

    def _numbers(self, values: pl.Series) -> pl.Series:
        """Float64, null where there is none; truth values are no numbers."""
        if values.dtype == pl.Boolean:
            return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
        if values.dtype == pl.String:
            values = values.str.strip_chars()
            if self._decimal == ",":  # and a point is no sign of a number
                values = values.str.replace_many([".", ","], ["x", "."])
        return values.cast(pl.Float64, strict=False).fill_nan(None)

    def _by_default(
        self, values: pl.Series, numbers: pl.Series, refuse: Refuse
    ) -> pl.Series:
        if values.dtype == pl.Boolean:
            numbers = values.cast(pl.Float64)
        elif values.dtype == pl.String and numbers.has_nulls():
            numbers = numbers.fill_null(_truth(values))
        minus = numbers == -1
        there = numbers.is_between(0, 1) | minus
        refuse(
            values,
            ~there.fill_null(False),
            "0 or 1, or a probability; --positive, --positive_from and --real_labels take other labels",
        )
        labels = (numbers.clip(lower_bound=0) + 0.0).cast(pl.Float32)  # No -0.
        between = (labels > 0) & (labels < 1)
        here = {"-1": minus, "a probability": between}
        self._met.update(name for name, rows in here.items() if rows.any())
        if here.keys() <= self._met:
            alike = "labels of one kind, -1 and 1 or probabilities, and both occur; --real_labels takes them as numbers"
            refuse(values, minus | between, alike)
        return labels


def _truth(values: pl.Series) -> pl.Series:
    """1 for true and yes, 0 for false and no, in any case of letters; else null."""
    words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    lower = values.str.strip_chars().str.to_lowercase()
    return lower.replace_strict(words, default=None, return_dtype=pl.Float64)
