"""The synthetic data as a TFDS data set."""

import pathlib
from collections.abc import Iterator

import numpy as np

from data.builder import BLOCK_ROWS, BlockBuilder, Encoded
from data.store import Rows, Store, probabilities_file
from data.synthetic import make


class Builder(BlockBuilder):
    """`make` on disk; the options are its arguments. Needs no source."""

    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        """The blocks of `make(**self.options)`; see `BlockBuilder.encode`."""
        del source
        store = make(**self.options)
        for split, probabilities in store.probabilities.items():
            np.save(probabilities_file(folder, split), probabilities)
        return Encoded(store.schema, _blocks(store))


def _blocks(store: Store) -> Iterator[tuple[str, Rows]]:
    for split, rows in store.splits.items():
        for start in range(0, len(rows.labels), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            yield (
                split,
                Rows(*(None if column is None else column[part] for column in rows)),
            )
