"""One pass over raw files that leaves them on disk as codes and numbers.

Text is read, parsed and hashed once: every string becomes a code, numbered as strings
are first met, and the rest of the preparation (splits, counts, vocabularies, ids) works
on these codes, many times faster than on text. Memory holds the distinct strings and a
few chunks.
"""

import bisect
import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.fields.codes import Block, Coder, Many
from afm_jax.data.formats import sources, text
from afm_jax.data.preparation.blocks import block_of
from afm_jax.data.progress import Advance, silent

WORKERS = min(8, os.cpu_count() or 1)

_T = TypeVar("_T")
_R = TypeVar("_R")


class Dictionary:
    """Codes 1, 2, ... for strings in the order in which they are met; 0 is none.

    May be used from several threads; the order is then any.
    """

    def __init__(self) -> None:
        self._categories = pl.Categories.random("afm_jax")
        # Categories live as long as a series of them.
        self._alive = pl.Series([], dtype=pl.Categorical(self._categories))

    def codes(self, strings: pl.Expr) -> pl.Expr:
        """UInt32 codes; a null gets 0."""
        return (strings.cast(self._alive.dtype).to_physical() + 1).fill_null(0)

    def strings(self) -> pl.Series:
        """The strings met so far: that of code c is at c - 1."""
        # Categories has no length, and its to_series goes through Python objects.
        size = bisect.bisect_left(
            range(1 << 32), True, key=lambda code: code not in self._categories
        )
        codes = pl.Series(np.arange(size, dtype=np.uint32))
        return codes.cat.to(self._alive.dtype).cast(pl.String)


class Stored(NamedTuple):
    """A block on disk.

    Attributes:
        path: its file.
        rows: number of rows.
        split: the given split of the rows, if any.
        source: the path of the raw file that the rows are from.
    """

    path: pathlib.Path
    rows: int
    split: str | None
    source: pathlib.Path

    def load(self) -> Block:
        """The block."""
        with self.path.open("rb") as file:
            times, labels, weights, *others = (np.load(file) for _ in range(6))
            many = []
            while file.read(1):
                many.append(Many(*(np.load(file) for _ in range(3))))
        numbers, codes, values = others
        return Block(times, labels, weights, numbers, codes, values, tuple(many))

    def load_times(self) -> np.ndarray:
        """The times of the block only."""
        with self.path.open("rb") as file:
            return np.load(file)


class Held(NamedTuple):
    """A block in memory, used like one that is `Stored`.

    Attributes:
        block: the block.
        split: the given split of the rows, if any.
    """

    block: Block
    split: str | None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.block.labels)

    def load(self) -> Block:
        """The block."""
        return self.block

    def load_times(self) -> np.ndarray:
        """The times of the block."""
        return self.block.times


class Spill(NamedTuple):
    """All rows of a source as blocks, on disk or in memory.

    Attributes:
        layout: the columns.
        blocks: the blocks in the order of the rows.
        dictionaries: the coder of each categorical or multi-valued column, by name.
        checksums: checksum of each file, by its path below the folder of all files.
        source_rows: rows of each file, by the same path, in the order of the rows.
        weighted: whether any value is not 1.
        rows_of_weight_0: how many rows count for nothing.
    """

    layout: formats.Layout
    blocks: Sequence[Stored | Held]
    dictionaries: Mapping[str, Coder]
    checksums: Mapping[str, str]
    source_rows: Mapping[str, int]
    weighted: bool
    rows_of_weight_0: int = 0


def spill(
    files: Sequence[sources.SourceFile],
    reader: formats.Reader,
    folder: pathlib.Path,
    prepare_numbers: Callable[[np.ndarray], np.ndarray],
    *,
    coders: Mapping[str, Coder] = MappingProxyType({}),
    advance: Advance = silent,
) -> Spill:
    """Reads all files and stores their rows.

    Args:
        files: what to read, in order.
        reader: how.
        folder: where the blocks go; made if need be.
        prepare_numbers: applied to the float64 [numeric columns, N] of each block.
        coders: of columns that are not to get a `Dictionary`, by name.
        advance: told how many megabytes have been read.

    Raises:
        InputError: what the reader found wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dictionaries = {
        column.name: coders.get(column.name) or Dictionary()
        for column in reader.layout.columns
        if column.kind != "numeric"
    }

    def store(
        task: tuple[pathlib.Path, sources.SourceFile, formats.Part],
    ) -> tuple[Stored, bool, int]:
        path, file, part = task
        block = block_of(part.parse(), reader.layout, dictionaries, prepare_numbers)
        _save(block, path)
        stored = Stored(path, len(block.labels), file.split, file.path)
        return stored, block.weighted, int(np.count_nonzero(block.weights == 0))

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        paths = [*(file.path for file in files), *reader.tables]
        common = os.path.commonpath([path.parent for path in paths])
        names = [path.relative_to(common).as_posix() for path in paths]
        checksums = pool.map(text.checksum, paths)
        stored = list(ordered_map(store, _tasks(files, reader, folder, advance)))
        if reader.check:
            reader.check({name: of.strings() for name, of in dictionaries.items()})
        rows = dict.fromkeys(paths[: len(files)], 0)
        for block, *_ in stored:
            rows[block.source] += block.rows
        return Spill(
            layout=reader.layout,
            blocks=[block for block, *_ in stored],
            dictionaries=dictionaries,
            checksums=dict(zip(names, checksums, strict=True)),
            source_rows=dict(zip(names, rows.values(), strict=False)),
            weighted=any(weighted for _, weighted, _ in stored),
            rows_of_weight_0=sum(zeros for *_, zeros in stored),
        )


def ordered_map(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
    """The results in order, computed by threads that are a few items ahead.

    The items are taken in the calling thread. The first error, in order, ends it.
    """
    pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
    waiting: collections.deque[concurrent.futures.Future[_R]] = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _tasks(
    files: Sequence[sources.SourceFile],
    reader: formats.Reader,
    folder: pathlib.Path,
    advance: Advance,
) -> Iterator[tuple[pathlib.Path, sources.SourceFile, formats.Part]]:
    count = 0
    total = sum(file.path.stat().st_size for file in files) / 1e6
    for file in files:
        taken = 0
        for part in reader.parts(file.path):
            yield folder / f"{count:06d}", file, part
            count += 1
            advance("read", (part.taken - taken) / 1e6, total, "MB")
            taken = part.taken


def _save(block: Block, path: pathlib.Path) -> None:
    with path.open("wb") as file:
        for array in block[:-1]:
            np.save(file, array)
        for many in block.many:
            file.write(b"m")
            for array in many:
                np.save(file, array)
