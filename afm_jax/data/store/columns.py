"""The arrays of a store: those of `Rows`."""

from afm_jax.features import Schema

OPTIONAL = ("values", "weights", "numbers")
"""The columns of `Rows` that may be None."""


def columns(schema: Schema) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype of each array of `Rows`, and the shape of one row of it."""
    slots = sum(field.slots for field in schema.fields)
    return {
        "ids": ("<i4", (slots,)),
        "values": ("<f4", (slots,)),
        "dense": ("<f4", (len(schema.dense),)),
        "labels": ("<f4", ()),
        "weights": ("<f4", ()),
        "numbers": ("<i8", ()),
    }
