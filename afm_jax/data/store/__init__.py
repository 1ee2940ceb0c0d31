"""The prepared store: encoded rows by split, memory-mapped, with their schema.

`reader` opens stores and never writes, `writer` makes and verifies them, and `upgrade`
makes one of records of version 1.
"""

from afm_jax.data.store.reader import Store, open_store
from afm_jax.data.store.rows import Rows

__all__ = ["Rows", "Store", "open_store"]
