"""What is missing: one rule for the categories of every format.

A category, or an item of a multi-valued column, is missing if its text is empty or the
word 'nan' in any case of letters: pandas writes missing values so. Other words, such as
'NA', 'null' or '\\N', are categories.
"""

import itertools

import polars as pl

_WORDS = ["", *map("".join, itertools.product("nN", "aA", "nN"))]


def without_missing(text: pl.Expr) -> pl.Expr:
    """Text of categories, with null in the place of missing ones.

    Args:
        text: String, of any format; nulls stay.
    """
    return pl.when(~text.is_in(_WORDS)).then(text)
