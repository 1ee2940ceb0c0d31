"""Rows to train on and to predict, of the size of Criteo's: 26 fields, 13 numbers."""

import numpy as np

from afm_jax.data.store.reader import Rows

NUM_FIELDS = 26
NUM_DENSE = 13


def random_rows(
    num_rows: int,
    vocab_size: int,
    *,
    used: int | None = None,
    num_fields: int = NUM_FIELDS,
    num_dense: int = NUM_DENSE,
    seed: int = 0,
) -> Rows:
    """Rows whose ids follow Zipf's law in every field.

    The ids that occur are `used` ids spread evenly over the vocabulary. So rows of two
    vocabularies, with one seed and one `used`, have the same ids but for their places
    in the table, and as many distinct ones in every batch.

    Args:
        num_rows: N.
        vocab_size: ids of all fields, an equal share of them for each; what is left
            over goes to the last.
        used: how many ids may occur, at most vocab_size; all if None.
        num_fields: F.
        num_dense: D.
        seed: of the draw.

    Raises:
        ValueError: `used` is not from num_fields to vocab_size.
    """
    offsets = field_offsets(vocab_size, used=used, num_fields=num_fields)
    used = vocab_size if used is None else used
    rng = np.random.default_rng(seed)
    size, stride = used // num_fields, vocab_size // used
    # The exponential of a uniform number falls off as 1 / value.
    values = np.exp(rng.random((num_rows, num_fields), np.float32) * np.log(size))
    values = np.minimum(values.astype(np.int32) - 1, size - 1)
    return Rows(
        values * np.int32(stride) + offsets,
        None,
        rng.standard_normal((num_rows, num_dense), np.float32),
        (rng.random(num_rows) < 0.25).astype(np.float32),
    )


def field_offsets(
    vocab_size: int, *, used: int | None = None, num_fields: int = NUM_FIELDS
) -> np.ndarray:
    """The first id of each field in `random_rows`, int32 [F]; for the same arguments.

    Raises:
        ValueError: `used` is not from num_fields to vocab_size.
    """
    used = vocab_size if used is None else used
    if not num_fields <= used <= vocab_size:
        raise ValueError(f"used: {used}, expected {num_fields} to {vocab_size}")
    share = used // num_fields * (vocab_size // used)
    return share * np.arange(num_fields, dtype=np.int32)
