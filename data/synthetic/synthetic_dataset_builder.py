"""The synthetic data as a TFDS data set."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from afm_jax.errors import InputError
from data.builder import BlockBuilder, Encoded
from data.store import SPLITS, probabilities_file
from data.store_writer import Block
from data.synthetic import make

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
        return options
