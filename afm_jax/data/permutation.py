"""A random order of n things, any part of which can be asked for on its own."""

import math
from collections.abc import Sequence

import numpy as np

_ROUNDS = 4


def permute(indices: np.ndarray, n: int, *, key: int | Sequence[int]) -> np.ndarray:
    """Applies the permutation of [0, n) named by `key` to some of its elements.

    Nothing of size n is made: element x is written as two digits (left, right) of bases
    a = ceil(sqrt(n)) and b = ceil(n / a), which the rounds of a Feistel network change
    in turn,

        left  <- (left  + hash(right, key)) mod a
        right <- (right + hash(left,  key)) mod b

    each of which can be undone, so that the whole is a permutation of [0, a b). An
    element that lands in [n, a b), which holds fewer than a, is sent on until it falls
    below n ("cycle walking"; Black and Rogaway 2002). For shuffling and sampling, not
    for secrets.

    Args:
        indices: integers in [0, n), of any shape.
        n: size of the range, 1 <= n < 2**62.
        key: non-negative integers; another key is another permutation.

    Returns:
        int64, the shape of `indices`, in [0, n).

    Raises:
        ValueError: n or an index is out of range.
    """
    if not 1 <= n < 2**62:
        raise ValueError(f"n is {n}, expected 1 <= n < 2**62.")
    indices = np.asarray(indices, np.int64)
    if indices.size and (indices.min() < 0 or indices.max() >= n):
        raise ValueError(f"indices outside [0, {n}).")
    keys = np.random.SeedSequence(key).generate_state(2 * _ROUNDS, np.uint32)
    result = _feistel(indices, n, keys)
    beyond = result >= n
    while beyond.any():
        result[beyond] = _feistel(result[beyond], n, keys)
        beyond = result >= n
    return result


def _feistel(indices: np.ndarray, n: int, keys: np.ndarray) -> np.ndarray:
    left_base = math.isqrt(n - 1) + 1
    right_base = -(-n // left_base)
    high = indices // right_base  # np.divmod is many times slower
    left = high.astype(np.uint32)
    right = (indices - high * right_base).astype(np.uint32)
    for left_key, right_key in zip(keys[::2], keys[1::2], strict=True):
        left = _shift(left, left_base, _hash(right, left_key))
        right = _shift(right, right_base, _hash(left, right_key))
    return left.astype(np.int64) * right_base + right


def _hash(digits: np.ndarray, key: np.uint32) -> np.ndarray:
    """uint32 to uint32, good in the high bits, on which `_shift` rests.

    A multiplication carries each bit upwards, the shift between them carries the high
    bits down; the multipliers are those of Wellons' `lowbias32`.
    """
    mixed = digits ^ key
    mixed *= np.uint32(0x7FEB352D)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x846CA68B)
    return mixed


def _shift(digits: np.ndarray, base: int, amounts: np.ndarray) -> np.ndarray:
    """(digits + amounts scaled from [0, 2**32) to [0, base)) mod base."""
    scaled = amounts.astype(np.uint64)
    scaled *= np.uint64(base)
    scaled >>= np.uint64(32)
    moved = digits + scaled.astype(np.uint32)
    # Below 2 * base < 2**32; where it is below base, the difference wraps to a large one.
    return np.minimum(moved, moved - np.uint32(base))
