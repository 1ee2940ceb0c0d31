"""What training asks of the shapes of a model; nothing is computed.

`afm_jax.testing.check_model` has the other rules.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax import errors as flax_errors
from flax import linen as nn

from afm_jax.errors import InputError
from afm_jax.features import Features, Schema

TABLES = ("params/embedding/table", "params/first_order/table")
"""The parameters whose size is that of the vocabulary."""


def check_logits(model: nn.Module, variables: Any, features: Features) -> None:
    """Raises InputError if the logits of rows are not float32 [B].

    Args:
        model: any.
        variables: of the model, or their shapes and dtypes.
        features: of the rows.
    """
    name = type(model).__name__
    try:
        logits: Any = jax.eval_shape(model.apply, variables, features)
    except flax_errors.InvalidRngError:
        raise InputError(
            f"{name} needs a random key without train; make what is random depend on it, such as nn.Dropout(rate, deterministic=not train)."
        ) from None
    expected = (len(features.ids),)
    if logits.shape != expected or logits.dtype != np.float32:
        raise InputError(
            f"{name}'s logits are {words(logits)} for {expected[0]} rows; expected float32 {list(expected)}, one number a row."
        )


def check_tables(model: Any, features: Features) -> None:
    """Raises InputError if a parameter other than `TABLES` depends on `vocab_size`."""
    name, key, size = type(model).__name__, jax.random.key(0), model.vocab_size
    larger = model.clone(vocab_size=2 * size)
    others = dict(by_path(jax.eval_shape(larger.init, key, features)))
    for where, leaf in by_path(jax.eval_shape(model.init, key, features)):
        other = others[where]
        is_table = where.endswith("/table")
        if is_table and where not in TABLES:
            raise InputError(
                f"{name} has a table {where!r}; expected one of {TABLES}, or another name for what is no table."
            )
        if not is_table and leaf.shape != other.shape:
            raise InputError(
                f"{name}'s {where} is {words(leaf)} and depends on vocab_size, {size} here; only {' and '.join(TABLES)} may. afm_jax.modules.embedding.field_vectors makes the first, and first_order.first_order_logits the second."
            )
        sizes = (leaf.shape[:1], other.shape[:1])
        if is_table and sizes != ((size,), (2 * size,)):
            raise InputError(
                f"{name}'s {where} is {words(leaf)}; expected a row for each of the vocab_size feature ids, {size} here."
            )
        if is_table and leaf.shape[1:] != other.shape[1:]:
            raise InputError(
                f"{name}'s {where} is {words(leaf)}, and {list(other.shape)} over {2 * size} feature ids; expected table rows of one width, whatever vocab_size is."
            )


def check_data(model: nn.Module, schema: Schema) -> None:
    """Raises InputError if a model is over another vocabulary than the store's."""
    found = getattr(model, "vocab_size", None)
    if found != schema.vocab_size:
        raise InputError(
            f"The model has vocab_size={found}, the data have {schema.vocab_size}; make it by models.make(..., schema=store.schema)."
        )
    slots = getattr(model, "slot_fields", ()) or tuple(range(len(schema.fields)))
    if slots != schema.slot_fields:
        raise InputError(
            f"The model has slot_fields={slots}, the data have {schema.slot_fields}; make it by models.make(..., schema=store.schema)."
        )


def by_path(tree: Any) -> Iterator[tuple[str, Any]]:
    """Each leaf with its path, such as 'params/embedding/table'."""
    for path, leaf in jax.tree.leaves_with_path(tree):
        yield jax.tree_util.keystr(path, simple=True, separator="/"), leaf


def words(array: Any) -> str:
    """The dtype and shape of an array, such as 'float32 [6, 1]'."""
    return f"{array.dtype} {list(array.shape)}"
