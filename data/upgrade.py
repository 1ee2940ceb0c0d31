"""Makes a store of the records of an older one.

Imports tensorflow_datasets, so import this module inside the function that upgrades.
"""

import pathlib
import shutil
from collections.abc import Iterator

from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import leftovers, program, records, store, store_version_1, store_writer


def upgrade(data_dir: pathlib.Path, name: str) -> store_writer.Written:
    """Makes the store `data_dir/<name>/2.0.0/` of the records in `<name>/1.0.0/`.

    What only the raw files tell stays unknown: the values without an id, the number of
    each row and the training range of numbers, which are therefore not clipped, so that
    models trained on the old store serve the new one. The records stay as they are.

    Raises:
        InputError: there are no such records, they are damaged, or there is a store.
    """
    store.check_name(name)
    folder = store.store_folder(data_dir, name)
    old = folder.with_name(store_version_1.VERSION)
    if not (old / store.SCHEMA_FILE).is_file():
        raise InputError(f"There is no store of version 1 in {old}.")
    schema = store.read_schema(old)
    with leftovers.placed(folder, overwrite=False) as new:
        for pattern in ("*.parquet", "*.probabilities.npy"):
            for path in old.glob(pattern):
                shutil.copy(path, new)
        written = store_writer.write(new, schema, _blocks(old, schema))
        if dict(written.schema.rows) != dict(schema.rows):
            raise InputError(
                f"The records in {old} hold {dict(written.schema.rows)} rows, expected {dict(schema.rows)}; prepare the data again."
            )
    return written


def _blocks(folder: pathlib.Path, schema: Schema) -> Iterator[store_writer.Block]:
    with program.progress("upgrade", sum(schema.rows.values())) as advance:
        for split in schema.rows:
            for rows in records.read(folder, split, schema):
                yield store_writer.Block(split, rows)
                advance(len(rows.labels))
