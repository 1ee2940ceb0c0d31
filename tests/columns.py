"""Columns of a few rows, as fields are given them."""

import numpy as np
import polars as pl

from afm_jax.data import fields
from afm_jax.data.fields.codes import Block
from afm_jax.data.preparation.spill import Dictionary


def given(name="c", *, words=(), setting=None, train_rows=0, **options):
    """The only column of its kind, whose texts are `words`."""
    defaults = {option.name: option.default for option in fields.options()}
    strings = pl.Series(words, dtype=pl.String)
    return fields.Given(name, 0, setting, defaults | options, train_rows, strings)


def coded(words):
    """The distinct words as a dictionary has met them, and the code of each word."""
    dictionary = Dictionary()
    series = pl.Series("w", words, dtype=pl.String)
    codes = series.to_frame().select(dictionary.codes(pl.col("w")))["w"]
    return dictionary.strings(), codes.to_numpy()


def block(rows, *, codes=None, values=(), numbers=(), many=()):
    """A block of so many rows of one column."""
    return Block(
        times=np.zeros(0),
        labels=np.zeros(rows, np.float32),
        weights=np.zeros(0, np.float32),
        numbers=np.array(numbers, np.float64).reshape(-1, rows),
        codes=np.zeros((0, rows), np.uint32) if codes is None else codes[None],
        values=np.array([values], np.float32) if len(values) else np.zeros(0),
        many=many,
    )


def ids_of(fitted, rows):
    """The ids that a field of one slot writes."""
    ids = np.full((len(rows.labels), 1), -1, np.int32)
    fitted.write(rows, ids, None)
    return ids[:, 0].tolist()
