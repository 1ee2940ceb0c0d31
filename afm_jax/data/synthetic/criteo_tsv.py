"""Planted rows as text in Criteo's format, to prepare like a real file."""

import pathlib

import numpy as np

from afm_jax.data.synthetic.encoded import value_names
from afm_jax.data.synthetic.planted import (
    LARGEST_NUMBER,
    NUM_DENSE,
    VOCAB_SIZES,
    draw,
    plant,
)


def write_criteo_tsv(
    path: pathlib.Path, num_rows: int, *, seed: int = 0, split: str = "train"
) -> None:
    """Writes label, 13 integers and 26 categories, tab separated; empty is missing.

    Memory does not grow with the number of rows: they are drawn and written in chunks.

    Args:
        path: the file to write.
        num_rows: how many rows; fewer are the first of more.
        seed: of the model, see `plant`, and of the rows.
        split: another split of the same seed has other rows.
    """
    # Lines of fixed width, the cells padded by NUL, are filled column by column; then
    # the NULs are taken out of all lines at once.
    labels = np.array([b"0", b"1"])
    numbers = np.char.mod(b"\t%d", np.arange(LARGEST_NUMBER + 1))
    numbers = np.append(numbers, b"\t")  # the last, found at -1: a missing number
    categories = [np.char.add(b"\t", value_names(f)) for f in range(len(VOCAB_SIZES))]
    tables = [labels, *[numbers] * NUM_DENSE, *categories, np.array([b"\n"])]
    line = np.dtype([(f"{cell}", table.dtype) for cell, table in enumerate(tables)])
    with pathlib.Path(path).open("wb") as file:
        for rows in draw(plant(seed), num_rows, seed, split):
            lines = np.empty(len(rows.labels), line)
            newline = np.zeros_like(rows.labels)
            columns = [rows.labels, *rows.numbers, *rows.categories, newline]
            for cell, (table, column) in enumerate(zip(tables, columns, strict=True)):
                lines[f"{cell}"] = table[column.astype(np.intp)]
            file.write(lines.tobytes().translate(None, b"\0"))
