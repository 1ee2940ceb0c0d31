"""Frames in memory: polars, pandas, pyarrow, or mappings of names to arrays.

The columns, and what they may hold, are those of parquet files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from afm_jax.data.formats import column_types, columns, parquet
from afm_jax.errors import InputError

_PLAIN = "biufMm"
"""Kinds of NumPy's types that polars takes as they are."""

_COARSE = ("Y", "M", "W", "h", "m", "s")
"""Units of NumPy's times that polars has not, and milliseconds hold."""


def select(
    frames: Mapping[str, Any], chosen: columns.Chosen
) -> dict[str, pl.DataFrame]:
    """The frames of the layout of `chosen`.

    Args:
        frames: frames of any library, each under what it is called in errors.
        chosen: the columns.

    Raises:
        InputError: a frame that is none, lacks a column, or holds a value that its column
            cannot have; or types of two frames that do not fit each other.
    """
    found = {where: _polars(frame, chosen, where) for where, frame in frames.items()}
    types = {
        name: column_types.ColumnType.of(
            name, role, {where: each.schema[name] for where, each in found.items()}
        )
        for name, role in chosen.roles
    }
    return {
        where: parquet.typed(frame, chosen, types, where=where)
        for where, frame in found.items()
    }


def _polars(frame: Any, chosen: columns.Chosen, where: str) -> pl.DataFrame:
    """The chosen columns of a frame of any library."""
    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    names = names_of(frame, where)
    columns.require(where, names, chosen.names)
    found = {}
    for name in chosen.names:
        try:
            found[name] = _series(name, frame[name])
        except (
            TypeError,
            ValueError,
            OverflowError,
            pl.exceptions.PolarsError,
        ) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"{where}: column {name!r} has values of more than one type, or of none that is known ({reason})."
            ) from None
    lengths = {name: len(series) for name, series in found.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{where}: columns of different lengths: {told}.")
    return pl.DataFrame(found)


def names_of(frame: Any, where: str) -> Sequence[str]:
    """The names of the columns of a frame of any library.

    Raises:
        InputError: it is none.
    """
    if isinstance(frame, Mapping):
        return [str(name) for name in frame]
    # pyarrow says column_names, polars and pandas say columns.
    names = getattr(frame, "column_names", getattr(frame, "columns", None))
    if names is None:
        raise InputError(
            f"{where} is {type(frame).__name__}, expected a frame of polars, pandas or pyarrow, or a mapping of names to arrays."
        )
    return [str(name) for name in names]


def _series(name: str, values: Any) -> pl.Series:
    """A column of any library; what its library takes for missing is null."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    if hasattr(values, "isna"):  # pandas, whose arrow interface would need pyarrow
        none = values.isna().to_numpy(bool)
        plain = getattr(values.dtype, "kind", "") in _PLAIN and isinstance(
            values.dtype, np.dtype
        )
        values = values.to_numpy() if plain else values.to_numpy(object)
        if not plain:
            values = [
                None if missing else value
                for value, missing in zip(values.tolist(), none.tolist(), strict=True)
            ]
    elif hasattr(values, "to_pylist"):
        found = pl.from_arrow(values)
        assert isinstance(found, pl.Series)
        return found.alias(name)
    elif not isinstance(values, list | tuple):
        values = np.asarray(values)
        if values.dtype == object:
            values = values.tolist()
    if isinstance(values, np.ndarray) and values.dtype.kind in "Mm":
        unit = np.datetime_data(values.dtype)[0]
        if unit in _COARSE:
            values = values.astype(f"{values.dtype.kind}8[ms]")
    return pl.Series(name, values)
