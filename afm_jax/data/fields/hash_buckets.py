"""A column of texts without a vocabulary: the id of a value is its hash.

For columns with more values than memory holds, or with values that training does not
meet. The bucket of a value is FNV-1a(value in UTF-8) mod N, with 64 bits (Fowler, Noll and
Vo, 1991), on every machine and in every version. Different values may share a bucket.

A value that no training row has gets the id of its bucket, too, so that no value is
unseen: UNSEEN stays unused, and MISSING is a row without a value, as in every field. A
bucket that no training row meets keeps the random start of its table row.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from afm_jax.data.fields import Fitted, Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import Coded, always_missing
from afm_jax.data.formats import Layout, Option
from afm_jax.features import FIRST, MISSING, Field

if TYPE_CHECKING:
    import polars as pl

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_MOST_BUCKETS = 1 << 30


def fnv1a(strings: "pl.Series") -> np.ndarray:
    """The 64-bit FNV-1a hash of the UTF-8 bytes of texts.

    hash <- (hash xor byte) * 1099511628211 mod 2^64, from 14695981039346656037 on, for
    each byte in turn; all texts advance by one byte at a time.

    Args:
        strings: String, without nulls.

    Returns:
        uint64 [len(strings)].
    """
    lengths = strings.str.len_bytes().to_numpy().astype(np.int64)
    text = np.frombuffer("".join(strings.str.join("")).encode(), np.uint8)
    longest_first = np.argsort(-lengths, kind="stable")
    starts = (np.cumsum(lengths) - lengths)[longest_first]
    # How many texts have more than 0, 1, ... bytes.
    longer = len(lengths) - np.cumsum(np.bincount(lengths))
    hashes = np.full(len(lengths), _BASIS)
    for position, count in enumerate(longer[:-1]):
        hashes[:count] ^= text[starts[:count] + position]
        hashes[:count] *= _PRIME
    found = np.empty_like(hashes)
    found[longest_first] = hashes
    return found


class HashCoder:
    """A `Coder` whose code is the bucket, counted from 1. It keeps no texts."""

    def __init__(self, buckets: int):
        self._buckets = buckets

    def codes(self, strings: "pl.Expr") -> "pl.Expr":
        import polars as pl

        return strings.map_batches(self._codes, return_dtype=pl.UInt32)

    def strings(self) -> "pl.Series":
        import polars as pl

        return pl.Series(dtype=pl.String)

    def _codes(self, strings: "pl.Series") -> "pl.Series":
        import polars as pl

        codes = 1 + fnv1a(strings.fill_null("")) % np.uint64(self._buckets)
        codes[strings.is_null().to_numpy()] = 0
        return pl.Series(strings.name, codes.astype(np.uint32), dtype=pl.UInt32)


class HashBuckets:
    """See `fields.Counter`; a code is a bucket, see `HashCoder`."""

    def __init__(self, given: Given):
        self._given, self._met = given, False

    def count(self, block: Block, train: np.ndarray) -> None:
        self._met = self._met or bool(block.codes[self._given.index].take(train).any())

    def fit(self, offset: int) -> Fitted:
        if not self._met:
            raise always_missing(self._given.name)
        field = Field(
            name=self._given.name,
            kind="hash_buckets",
            vocab_size=FIRST + self._given.setting,
            offset=offset,
        )
        return _load(field, self._given.index)


def _load(field: Field, index: int, coded: Coded | None = None) -> Fitted:
    del coded

    def write(block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        codes = block.codes[index].astype(np.int32)
        known = FIRST - 1 + codes
        ids[:, 0] = field.offset + np.where(codes == 0, MISSING, known)
        block.write_values(index, values)

    return Fitted(field, None, write)


def _buckets(layout: Layout, options: Mapping[str, Any]) -> dict[str, int]:
    """How many buckets each column has that --hash_buckets names."""
    return layout.whole_numbers(
        "categorical", "hash_buckets", options["hash_buckets"], most=_MOST_BUCKETS
    )


KIND = Kind(
    "categorical",
    HashBuckets,
    _load,
    options=(
        Option(
            "hash_buckets",
            (),
            "Give the values of a categorical column N ids by their hash, without a vocabulary. N sets all such columns, and COLUMN:N sets one. Values may then share an id, and none is unseen.",
        ),
    ),
    settings=_buckets,
    coder=HashCoder,
)
