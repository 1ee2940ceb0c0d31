"""What is missing: one rule for the categories of every format.

A category, or an item of a multi-valued column, is missing if its text is empty or the
word 'nan' in any case of letters: pandas writes missing values so. Other words, such as
'NA', 'null' or '\\N', are categories, unless the option `na_values` names them.
"""

import itertools
from collections.abc import Sequence

import polars as pl

_WORDS = ["", *map("".join, itertools.product("nN", "aA", "nN"))]


def without_missing(text: pl.Expr, na_values: Sequence[str] = ()) -> pl.Expr:
    """Text of categories, with null in the place of missing ones.

    Args:
        text: String, of any format; nulls stay.
        na_values: texts that are missing as well.
    """
    return pl.when(~text.is_in([*_WORDS, *na_values])).then(text)
