"""From feature ids to one vector per field."""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from afm_jax.features import Array


def embed_fields(
    table: Float[Array, "vocab_size k"],
    ids: Int[Array, "B S"],
    values: Float[Array, "B S"] | None = None,
    *,
    slot_fields: tuple[int, ...] | None = None,
) -> Float[jax.Array, "B F k"]:
    """The vector of each field: its row of the table times its value.

    Args:
        table: float [vocab_size, k], one row per feature id.
        ids: int32 [B, S] in [0, vocab_size). An id outside gives the nearest row;
            `training.steps` turns what comes of it into NaN.
        values: float [B, S] or None, as in `pool_slots`.
        slot_fields: as in `pool_slots`.

    Returns:
        float [B, F, k].

    Raises:
        ValueError: as `pool_slots`.
    """
    # Filling up what is outside would be a second pass over all vectors.
    vectors = jnp.take(table, ids, axis=0, mode="clip")
    return pool_slots(vectors, values, slot_fields=slot_fields)


def pool_slots(
    vectors: Float[Array, "B S k"],
    values: Float[Array, "B S"] | None = None,
    *,
    slot_fields: tuple[int, ...] | None = None,
) -> Float[jax.Array, "B F k"]:
    """Mean of the weighted vectors of each field's slots.

    sum_i x_i v_i / max(1, n) over the slots i of a field, n of them with x_i != 0. A
    field of one slot is x v; a field of unused slots only is 0.

    Args:
        vectors: float [B, S, k].
        values: float [B, S], the weights x_i, 0 in unused slots; None means all ones.
        slot_fields: the field of each slot, S numbers that start at 0 and rise by 0 or
            1; None means that every slot is a field.

    Returns:
        float [B, F, k].

    Raises:
        ValueError: `values` or `slot_fields` do not match `vectors`, or `slot_fields`
            does not count up from 0.
    """
    vectors = jnp.asarray(vectors)
    if values is not None:
        if values.shape != vectors.shape[:-1]:
            raise ValueError(
                f"values have shape {values.shape}, expected {vectors.shape[:-1]}"
            )
        vectors = vectors * values[..., None]
    if slot_fields is None:
        return vectors
    _check_slot_fields(slot_fields, vectors.shape[-2])

    pieces = []
    for start, stop, one_slot_each in _runs(slot_fields):
        piece = vectors[:, start:stop]
        if not one_slot_each:
            piece = piece.sum(axis=1, keepdims=True)
            if values is None:
                piece = piece / (stop - start)
            else:
                used = (values[:, start:stop] != 0).sum(axis=1)
                piece = piece / jnp.maximum(used, 1)[:, None, None]
        pieces.append(piece)
    return jnp.concatenate(pieces, axis=1)


def _runs(slot_fields: tuple[int, ...]) -> list[tuple[int, int, bool]]:
    """Slices of slots: one for each multi-valued field, one for the fields between.

    Slices and sums rather than a segment sum or a product with a 0/1 matrix: exact on
    every device, and nothing is scattered.
    """
    sizes = [len(list(slots)) for _, slots in itertools.groupby(slot_fields)]
    runs = []
    start = 0
    for one_slot_each, group in itertools.groupby(sizes, key=lambda size: size == 1):
        lengths = list(group)
        for length in [len(lengths)] if one_slot_each else lengths:
            runs.append((start, start + length, one_slot_each))
            start += length
    return runs


def _check_slot_fields(slot_fields: tuple[int, ...], num_slots: int) -> None:
    if len(slot_fields) != num_slots:
        raise ValueError(
            f"slot_fields names the fields of {len(slot_fields)} slots; the features have {num_slots}"
        )
    steps = [b - a for a, b in itertools.pairwise((0, *slot_fields))]
    if slot_fields[0] != 0 or not set(steps) <= {0, 1}:
        raise ValueError(
            f"slot_fields must start at 0 and rise by 0 or 1, found {slot_fields}"
        )
