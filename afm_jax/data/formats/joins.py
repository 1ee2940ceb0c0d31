"""Joins that leave the rows as they are: as many, in the same order."""

import polars as pl


def add_columns(frame: pl.DataFrame, table: pl.DataFrame, *, on: str) -> pl.DataFrame:
    """The frame with the columns of the table, looked up by the key `on`.

    A key that is not in the table, gets nulls.

    Raises:
        ValueError: the table holds a key of the frame twice, which would double rows.
    """
    joined = frame.join(table, on=on, how="left", maintain_order="left")
    if joined.height != frame.height:
        raise ValueError(
            f"A join by {on!r} made {joined.height} rows of {frame.height}."
        )
    return joined
