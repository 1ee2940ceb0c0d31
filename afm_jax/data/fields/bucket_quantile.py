"""Numbers as buckets of about equally many training rows."""

import zlib

import numpy as np

from afm_jax.data.fields import Fitted, Given, Kind
from afm_jax.data.fields.codes import Block
from afm_jax.data.fields.vocabulary import Coded, always_missing
from afm_jax.data.formats import Option
from afm_jax.features import FIRST, MISSING, Field

_SAMPLE = 1_000_000


class QuantileBuckets:
    """See `fields.Counter`.

    The edges are quantiles of at most a million training rows, evenly spaced in the file;
    edges that fall together are one. Ids rise with the bucket.
    """

    def __init__(self, given: Given):
        self._given = given
        self._every = -(-given.train_rows // _SAMPLE) or 1
        self._seen = 0
        self._sample: list[np.ndarray] = []

    def count(self, block: Block, train: np.ndarray) -> None:
        numbers = block.numbers[self._given.index].take(train)[
            -self._seen % self._every :: self._every
        ]
        self._seen += len(train)
        self._sample.append(numbers[~np.isnan(numbers)])

    def fit(self, offset: int) -> Fitted:
        sample = np.concatenate(self._sample) if self._sample else np.zeros(0)
        if not sample.size:
            raise always_missing(self._given.name)
        ranks = np.linspace(0, 1, self._given.options["buckets"] + 1)[1:-1]
        edges = np.unique(np.quantile(sample, ranks, method="higher"))
        boundaries = tuple(edges[edges > np.min(sample)].tolist())
        field = Field(
            name=self._given.name,
            kind="bucket_quantile",
            vocab_size=FIRST + len(boundaries) + 1,
            offset=offset,
            vocabulary_crc32=zlib.crc32(repr(boundaries).encode()),
            boundaries=boundaries,
        )
        return _load(field, self._given.index)


def _load(field: Field, index: int, coded: Coded | None = None) -> Fitted:
    del coded

    def write(block: Block, ids: np.ndarray, values: np.ndarray | None) -> None:
        numbers = block.numbers[index]
        bucket = FIRST + np.searchsorted(field.boundaries, numbers, side="right")
        ids[:, 0] = field.offset + np.where(np.isnan(numbers), MISSING, bucket)

    return Fitted(field, None, write)


KIND = Kind(
    "numeric",
    QuantileBuckets,
    _load,
    options=(
        Option(
            "buckets",
            20,
            "How many buckets each bucket_quantile column has; 20 if not given.",
            least=2,
        ),
    ),
    told="buckets of about equally many training rows",
)
