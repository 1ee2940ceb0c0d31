"""The synthetic data as a TFDS data set."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from afm_jax.data.preparation.builder import BlockBuilder, Encoded
from afm_jax.data.store.reader import SPLITS, probabilities_file
from afm_jax.data.store.writer import Block
from afm_jax.data.synthetic.encoded import ROWS, make
from afm_jax.data.synthetic.planted import NUM_DENSE, VOCAB_SIZES
from afm_jax.errors import InputError

_OPTIONS = ("seed", "rows", "min_count")


class Builder(BlockBuilder):
    """`make` on disk; the options are its arguments. Needs no source.

    `rows` may also be a sequence, of the rows of train, validation and perhaps test.
    """

    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        """The blocks of `make(**self.options)`; see `BlockBuilder.encode`."""
        del source
        store = make(**self._arguments())
        for split, probabilities in store.probabilities.items():
            np.save(probabilities_file(folder, split), probabilities)
        blocks = (
            Block(split, rows, store.unseen[split])
            for split, rows in store.splits.items()
        )
        return Encoded(store.schema, blocks)

    def _arguments(self) -> dict[str, Any]:
        options = dict(self.options)
        for name in options:
            if name not in _OPTIONS:
                raise InputError(
                    f"--{name} has no meaning for synthetic; its options are {', '.join(_OPTIONS)}."
                )
        for name, least in (("seed", 0), ("min_count", 1)):
            if options.get(name, least) < least:
                raise InputError(
                    f"--{name}={options[name]}, expected at least {least}."
                )
        rows = options.get("rows")
        if isinstance(rows, Sequence):
            if len(rows) not in (2, 3) or min(rows) < 1:
                raise InputError(
                    f"--rows={','.join(map(str, rows))}, expected how many rows for train, validation and perhaps test, at least 1 each."
                )
            options["rows"] = dict(zip(SPLITS, rows, strict=False))
        _check_memory(options.get("rows", ROWS))
        return options


def _check_memory(rows: Mapping[str, int]) -> None:
    """Raises InputError for rows that this machine surely has no room to draw."""
    # The raw and the encoded numbers of a row, four bytes each.
    needed = sum(rows.values()) * 8 * (len(VOCAB_SIZES) + NUM_DENSE)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise InputError(
            f"--rows={','.join(map(str, rows.values()))} need {needed / 1e9:,.0f} GB of memory, and this machine has {there / 1e9:,.0f} GB; draw fewer."
        )
