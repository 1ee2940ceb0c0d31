"""A frame of columns as a block of codes and numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.fields.codes import Block, Coder, Many


def block_of(
    frame: pl.DataFrame,
    layout: formats.Layout,
    coders: Mapping[str, Coder],
    prepare_numbers: Callable[[np.ndarray], np.ndarray],
) -> Block:
    """The rows of a frame, whose columns are computed in parallel.

    Args:
        frame: as `formats.Reader` gives it; without labels they are 0.
        layout: its columns.
        coders: of each column that is not numeric, by name.
        prepare_numbers: applied to float64 [numeric columns, N].
    """
    rows = frame.height
    names: dict[str, list[str]] = {"categorical": [], "numeric": [], "multi_valued": []}
    for column in layout.columns:
        names[column.kind].append(column.name)
    numbers = _matrix(
        frame.lazy().select(pl.col(names["numeric"]).fill_null(np.nan)),
        rows,
        np.float64,
    )
    codes = _matrix(
        frame.lazy().select(
            coders[name].codes(pl.col(name)) for name in names["categorical"]
        ),
        rows,
        np.uint32,
    )
    values = np.zeros(0, np.float32)
    weighted = [formats.VALUES + name for name in names["categorical"]]
    if weighted and weighted[0] in frame.columns:
        values = _matrix(frame.lazy().select(weighted), rows, np.float32)
    return Block(
        times=frame[formats.TIME].to_numpy()
        if layout.order == formats.TIME
        else np.zeros(0),
        labels=frame[formats.LABEL].to_numpy()
        if formats.LABEL in frame.columns
        else np.zeros(rows, np.float32),
        weights=frame[formats.WEIGHT].to_numpy()
        if formats.WEIGHT in frame.columns
        else np.zeros(0, np.float32),
        numbers=prepare_numbers(numbers),
        codes=codes,
        values=values,
        many=tuple(_many(frame, name, coders[name]) for name in names["multi_valued"]),
    )


def _matrix(frame: pl.LazyFrame, rows: int, dtype: Any) -> np.ndarray:
    """[columns, rows], whose columns polars computes in parallel."""
    columns = frame.collect().get_columns()
    matrix = np.empty((len(columns), rows), dtype)
    for row, column in zip(matrix, columns, strict=True):
        row[:] = column.to_numpy()
    return matrix


def _many(frame: pl.DataFrame, name: str, coder: Coder) -> Many:
    lengths = frame[name].list.len().fill_null(0)
    full = lengths > 0
    items = frame[name].filter(full).explode().to_frame()
    values = np.zeros(0, np.float32)
    if formats.VALUES + name in frame.columns:
        values = frame[formats.VALUES + name].filter(full).explode().to_numpy()
    return Many(
        lengths.cast(pl.Int32).to_numpy(),
        items.select(coder.codes(pl.col(name))).to_series().to_numpy(),
        values,
    )
