"""Whether rows are what their schema says."""

import numpy as np

from afm_jax.data.store.columns import columns
from afm_jax.errors import InputError
from afm_jax.features import UNSEEN, Rows, Schema


def check_rows(rows: Rows, schema: Schema, told: str) -> None:
    """Checks what a look-up or a loss would pass over in silence.

    Raises:
        InputError: a shape that is not the schema's, an id outside its field, a number
            that is not finite, or a weight that is not above 0.
    """
    count = len(rows.labels)
    for name, (_, shape) in columns(schema).items():
        array = getattr(rows, name)
        if array is not None and array.shape != (count, *shape):
            raise InputError(
                f"{told}: {name} of shape {list(array.shape)}, but the schema asks for {[count, *shape]}."
            )
        if array is not None and not np.isfinite(array).all():
            raise InputError(f"{told}: {name} that are not finite.")
    slot_fields = [schema.fields[index] for index in schema.slot_fields]
    first = np.array([field.offset for field in slot_fields], np.int32)
    last = first + np.array([field.vocab_size for field in slot_fields], np.int32)
    outside = (rows.ids < first) | (rows.ids >= last)
    if outside.any():
        row, slot = np.argwhere(outside)[0]
        raise InputError(
            f"{told}: id {rows.ids[row, slot]} of field {slot_fields[slot].name!r} is outside [{first[slot]}, {last[slot]})."
        )
    if rows.weights is not None and not (rows.weights > 0).all():
        raise InputError(
            f"{told}: weight {rows.weights.min()}, expected numbers above 0; leave rows of weight 0 out."
        )


def check_unseen(
    unseen: np.ndarray, rows: Rows, index: int, schema: Schema, told: str
) -> None:
    """Raises InputError if values without an id are told of other rows than have none."""
    field, slot = schema.fields[index], schema.slot_fields.index(index)
    places = np.flatnonzero(rows.ids[:, slot] == field.offset + UNSEEN)
    if (
        field.slots > 1
        or not np.array_equal(unseen[:, 0], places)
        or (unseen[:, 1] < field.vocab_size).any()
    ):
        raise InputError(
            f"{told}: the values without an id of field {field.name!r} are not those of the rows; prepare the data again."
        )
