"""Which rows are for training, validation and test: exact, and the same every time."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from afm_jax.data import formats, permutation
from afm_jax.data.preparation.spill import Held, Spill, Stored
from afm_jax.data.store.reader import SPLITS
from afm_jax.errors import InputError

_EXACT = 2**53
"""From here on float64 does not tell all whole numbers apart."""


def sizes(rows: int, fractions: Sequence[float]) -> tuple[int, ...]:
    """Number of rows of each split: fractions rounded, training takes the rest.

    Raises:
        InputError: the fractions are not two or three numbers that sum to 1, those for
            training and validation above 0, or a split would be empty.
    """
    _check(fractions)
    train, validation, test = (*fractions, 0.0)[:3]
    held_out = [round(rows * fraction) for fraction in (validation, test)]
    counts = (rows - sum(held_out), *held_out)
    for split, count, fraction in zip(
        SPLITS, counts, (train, validation, test), strict=True
    ):
        if fraction and count <= 0:
            none = "The source has no rows" if not rows else f"{rows} rows are too few"
            raise InputError(f"{none} to split: none for {split}.")
    return counts


def resolve_fractions(
    fractions: Sequence[float] | None, *, given_test: bool
) -> Sequence[float]:
    """The fractions of the rows that are to be split.

    Args:
        fractions: what the user asked for; None means 0.8,0.1,0.1, or 0.9,0.1 beside
            given test rows.
        given_test: whether the test rows are given, so that the others are for
            training and validation only.

    Raises:
        InputError: the fractions are not two or three numbers that sum to 1, those for
            training and validation above 0; or a fraction for test beside given rows.
    """
    if fractions is None:
        return (0.9, 0.1) if given_test else (0.8, 0.1, 0.1)
    _check(fractions)
    if given_test and any(fractions[2:]):
        raise InputError(
            f"Fractions {','.join(map(str, fractions))}: the test rows are given; expected those of train and validation, such as 0.9,0.1."
        )
    return fractions


def _check(fractions: Sequence[float]) -> None:
    if (
        len(fractions) not in (2, 3)
        or min(fractions) < 0
        or 0 in fractions[:2]
        or not abs(sum(fractions) - 1) <= 1e-6  # not a number is wrong too
    ):
        raise InputError(
            f"Fractions {','.join(map(str, fractions))}: expected those of train, validation and perhaps test, which sum to 1, such as 0.8,0.1,0.1."
        )


def by_position(positions: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """int8, the index of the split of each position in the order of the splits."""
    return np.searchsorted(np.cumsum(counts), positions, side="right").astype(np.int8)


def random_positions(start: int, stop: int, rows: int, seed: int) -> np.ndarray:
    """Positions of rows start to stop in the random order that the seed names."""
    return permutation.permute(np.arange(start, stop), rows, key=seed)


def time_positions(
    blocks: Iterable[np.ndarray], times: np.ndarray, counts: np.ndarray
) -> Iterator[np.ndarray]:
    """Positions of the rows of each block in the order of time, ties in their order.

    Args:
        blocks: the time of each row, block by block.
        times: the distinct times of all blocks, rising.
        counts: int64, how many rows have each of them.
    """
    next_position = np.concatenate([[0], np.cumsum(counts)[:-1]])
    for block in blocks:
        index = np.searchsorted(times, block)
        order = np.argsort(index, kind="stable")
        distinct, first, size = np.unique(
            index[order], return_index=True, return_counts=True
        )
        positions = np.empty(len(block), np.int64)
        within = np.arange(len(block)) - np.repeat(first, size)
        positions[order] = np.repeat(next_position[distinct], size) + within
        next_position[distinct] += size
        yield positions


def assign(
    spill: Spill, how: str | None, fractions: Sequence[float] | None, seed: int | None
) -> list[np.ndarray]:
    """The split of each row of each block, int8 indices into SPLITS: a byte a row.

    Blocks of given splits keep them; the rows of all others are split as if they were
    all rows. Rows of weight 0 count for nothing and are in no split, which is -1.

    Args:
        spill: the rows.
        how: 'random', 'time', or None if all splits are given.
        fractions: of training, validation and perhaps test rows among those to split.
        seed: of the random order; for 'random' only.

    Raises:
        InputError: the fractions are not right, or a split would be empty.
    """
    blocks = [block for block in spill.blocks if block.split is None]
    ends = np.cumsum([0, *(block.rows for block in blocks)])
    rows = int(ends[-1])
    ranges = list(itertools.pairwise(ends.tolist()))
    if how is None:
        positions: Iterator[np.ndarray] = iter(())
    elif how == "random":
        positions = (
            random_positions(start, stop, rows, seed or 0) for start, stop in ranges
        )
    elif spill.layout.order == formats.TIME:
        positions = _time_positions(blocks)
    elif spill.layout.order == formats.FILE:
        positions = (np.arange(*part) for part in ranges)
    else:
        raise InputError(
            "--split=time: the order of these rows in time is not known; for csv and parquet give --time=COLUMN."
        )
    counts = sizes(rows, fractions or ()) if how else ()
    assigned = [
        by_position(next(positions), counts)
        if block.split is None
        else np.full(block.rows, SPLITS.index(block.split), np.int8)
        for block in spill.blocks
    ]
    if spill.rows_of_weight_0:
        _leave_out_weight_0(spill, assigned)
    return assigned


def _leave_out_weight_0(spill: Spill, assigned: Sequence[np.ndarray]) -> None:
    """Gives rows of weight 0 the split -1, which is none; see `assign`."""
    before, after = np.zeros((2, len(SPLITS)), np.int64)
    for block, part in zip(spill.blocks, assigned, strict=True):
        before += np.bincount(part, minlength=len(SPLITS))
        part[block.load().weights == 0] = -1
        after += np.bincount(part[part >= 0], minlength=len(SPLITS))
    for split, there, left in zip(SPLITS, before, after, strict=True):
        if there and not left:
            raise InputError(
                f"All {there} rows of the {split} split have weight 0; expected some rows that --weight counts."
            )


def _time_positions(blocks: Sequence[Stored | Held]) -> Iterator[np.ndarray]:
    found: dict[float, int] = {}
    for block in blocks:
        times, counts = np.unique(block.load_times(), return_counts=True)
        for time, count in zip(times.tolist(), counts.tolist(), strict=True):
            found[time] = found.get(time, 0) + count
    ordered = sorted(found)
    whole = all(isinstance(time, int) for time in ordered)
    if not whole and max(map(abs, ordered)) >= _EXACT:
        raise InputError(
            f"--split=time: some times have fractions and others are as large as {max(ordered, key=abs)}, so that not all can be told apart; give all of them as whole numbers."
        )
    counts = np.array([found[time] for time in ordered], np.int64)
    times = np.array(ordered, np.int64 if whole else np.float64)
    return time_positions((block.load_times() for block in blocks), times, counts)
