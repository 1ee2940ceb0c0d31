"""A model of clicks whose every effect is known, to draw data from."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# fmt: off
VOCAB_SIZES = (
    12, 40, 2_000, 24, 100, 8, 30, 50, 3, 5_000, 18, 20, 36,
    500, 25, 60, 10, 32, 4, 300, 16, 35, 6, 28, 15, 1_000,
)
# fmt: on
"""Number of values of each categorical field, before rare ones are left out."""

NUM_DENSE = 13
LARGEST_NUMBER = 65_535
RANK = 2
STRENGTHS = (0.9, 0.65, 0.5, 0.35, 0.25, 0.15)
BIAS = -1.5
CHUNK_ROWS = 16_384

_INTERACTING_SIZES = range(10, 41)
_FIRST_ORDER_DEVIATION = 1.0
_DENSE_DEVIATION = 0.8
_NUMBER_MISSING = 0.15


class Planted(NamedTuple):
    """The truth: the probability of a click given all raw values.

    Writing a for the value of field i and b for that of field j, all effects add up to
    the logit

        bias + sum_i first_order[i][a] + sum_d dense[d] z_d
             + sum_(i, j) in pairs strength_ij <left_ij[a], right_ij[b]>

    where z_d is log(1 + number) standardised, 0 if it is missing. Fields are
    independent and in one pair at most, effects have mean 0 over a field's values, and
    an inner product has standard deviation 1; so no effect hides in another, and a
    pair's strength is the standard deviation of what it adds to the logit.

    Attributes:
        bias: the logit of an average row.
        missing: float64 [F], how often each field has no value.
        first_order: for each field float64 [1 + values], the first for a missing one.
        dense: float64 [D], the weight of each number.
        scales: float64 [D], standard deviation of each log(1 + number); its mean is 2.
        pairs: the pairs of field indices (i, j), i < j, that interact.
        strengths: float64 [P], for each pair, falling.
        left: for each pair float64 [1 + values of i, RANK].
        right: for each pair float64 [1 + values of j, RANK].
    """

    bias: float
    missing: np.ndarray
    first_order: tuple[np.ndarray, ...]
    dense: np.ndarray
    scales: np.ndarray
    pairs: tuple[tuple[int, int], ...]
    strengths: np.ndarray
    left: tuple[np.ndarray, ...]
    right: tuple[np.ndarray, ...]


class RawRows(NamedTuple):
    """Rows before any encoding.

    Attributes:
        categories: int32 [F, N], a column a row; values from 1 up, the most frequent
            first, 0 = missing.
        numbers: int32 [D, N], counts from 0 up, -1 = missing.
        labels: bool [N].
        probabilities: float64 [N], of label 1.
    """

    categories: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def plant(seed: int) -> Planted:
    """Draws the effects; those of one seed are always the same."""
    rng = np.random.default_rng((seed, 0))
    num_fields = len(VOCAB_SIZES)
    missing = rng.uniform(0.02, 0.3, num_fields) * (rng.random(num_fields) < 0.4)
    shares = [
        _value_shares(size, absent)
        for size, absent in zip(VOCAB_SIZES, missing, strict=True)
    ]
    first_order = rng.normal(size=num_fields)
    first_order *= _FIRST_ORDER_DEVIATION / np.linalg.norm(first_order)
    dense = rng.normal(size=NUM_DENSE)
    dense *= _DENSE_DEVIATION / np.linalg.norm(dense)
    able = [f for f, size in enumerate(VOCAB_SIZES) if size in _INTERACTING_SIZES]
    chosen = np.sort(rng.permutation(able)[: 2 * len(STRENGTHS)].reshape(-1, 2))
    pairs = tuple((int(i), int(j)) for i, j in chosen)
    sides = [_factors(rng, shares[i], shares[j]) for i, j in pairs]
    return Planted(
        bias=BIAS,
        missing=missing,
        first_order=tuple(
            deviation * _standardised(rng, share, 1)[:, 0]
            for deviation, share in zip(first_order, shares, strict=True)
        ),
        dense=dense,
        scales=rng.uniform(0.6, 1.6, NUM_DENSE),
        pairs=pairs,
        strengths=np.array(STRENGTHS),
        left=tuple(left for left, _ in sides),
        right=tuple(right for _, right in sides),
    )


def draw(planted: Planted, num_rows: int, seed: int, split: str) -> Iterator[RawRows]:
    """Draws rows in chunks; fewer of the same seed and split are the first of more."""
    rng = np.random.default_rng((seed, 1, zlib.crc32(split.encode())))
    for start in range(0, num_rows, CHUNK_ROWS):
        chunk = _draw_chunk(planted, rng)
        rows = min(CHUNK_ROWS, num_rows - start)
        yield RawRows(*(column[..., :rows] for column in chunk))


def _draw_chunk(planted: Planted, rng: np.random.Generator) -> RawRows:
    """Values of a field by Zipf's law, log-normal numbers, and labels."""
    num_rows = CHUNK_ROWS
    categories = np.empty((len(VOCAB_SIZES), num_rows), np.int32)
    for column, size, missing in zip(
        categories, VOCAB_SIZES, planted.missing, strict=True
    ):
        # A uniform u below `missing` is no value; the rest is stretched to [0, 1) again.
        u = (rng.random(num_rows, np.float32) - missing) / (1.0 - missing)
        column[:] = np.where(u < 0, 0, np.exp(u * np.log(size + 1)))
        np.minimum(column, size, out=column)
    numbers = np.empty((NUM_DENSE, num_rows), np.int32)
    for column, scale in zip(numbers, planted.scales, strict=True):
        column[:] = np.expm1(2 + scale * rng.standard_normal(num_rows, np.float32))
        np.clip(column, 0, LARGEST_NUMBER, out=column)
        column[rng.random(num_rows, np.float32) < _NUMBER_MISSING] = -1
    chances = 1 / (1 + np.exp(-logits(planted, categories, numbers)))
    return RawRows(categories, numbers, rng.random(num_rows) < chances, chances)


def logits(
    planted: Planted,
    categories: np.ndarray,
    numbers: np.ndarray,
    *,
    interactions: bool = True,
) -> np.ndarray:
    """float64 [N], the true logits, or those parts that a first-order model has.

    Args:
        planted: the effects.
        categories: int32 [F, N] as in `RawRows`.
        numbers: int32 [D, N] as in `RawRows`.
        interactions: False leaves the pairs out.
    """
    total = np.full(categories.shape[1], planted.bias)
    for effects, column in zip(planted.first_order, categories, strict=True):
        total += effects[column]
    for weight, scale, column in zip(
        planted.dense, planted.scales, numbers, strict=True
    ):
        z = (np.log1p(np.maximum(column, 0)) - 2) / scale
        total += np.where(column < 0, 0.0, weight * z)
    if interactions:
        for (i, j), strength, left, right in zip(
            planted.pairs, planted.strengths, planted.left, planted.right, strict=True
        ):
            products = strength * (left @ right.T)  # [1 + values of i, 1 + of j]
            total += products[categories[i], categories[j]]
    return total


def _value_shares(size: int, missing: float) -> np.ndarray:
    """[1 + size], how often no value and each value occurs, as `draw` draws."""
    edges = np.log(np.arange(1, size + 2)) / np.log(size + 1)
    return np.concatenate(([missing], (1 - missing) * np.diff(edges)))


def _factors(
    rng: np.random.Generator, left_shares: np.ndarray, right_shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose inner products have mean 0 and deviation 1 over both shares."""
    left = _standardised(rng, left_shares, RANK)
    right = _standardised(rng, right_shares, RANK)
    left_moments, right_moments = (
        (vectors * shares[:, None]).T @ vectors
        for vectors, shares in ((left, left_shares), (right, right_shares))
    )
    return left, right / np.sqrt(np.sum(left_moments * right_moments))


def _standardised(
    rng: np.random.Generator, shares: np.ndarray, rank: int
) -> np.ndarray:
    """[len(shares), rank], random effects of mean 0 and deviation 1 over the shares."""
    effects = rng.normal(size=(len(shares), rank))
    effects -= shares @ effects
    return effects / np.sqrt(shares @ effects**2)
