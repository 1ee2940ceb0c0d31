"""Makes a store of the records of an older one.

Imports tensorflow_datasets, so import this module inside the function that upgrades.
"""

import pathlib
import shutil
from collections.abc import Iterator

from afm_jax import files
from afm_jax.data.progress import Advance, silent
from afm_jax.data.store import folders, reader, record_reader, version_1, writer
from afm_jax.errors import InputError
from afm_jax.features import Schema


def upgrade(
    data_dir: pathlib.Path, name: str, *, advance: Advance = silent
) -> writer.Written:
    """Makes the store `data_dir/<name>/2.0.0/` of the records in `<name>/1.0.0/`.

    What only the raw files tell stays unknown: the values without an id, the number of
    each row and the training range of numbers, which are therefore not clipped, so that
    models trained on the old store serve the new one. The records stay as they are.

    Args:
        data_dir: folder of all stores.
        name: name of the store.
        advance: told how many rows have been read.

    Raises:
        InputError: there are no such records, they are damaged, or there is a store.
    """
    folders.check_name(name)
    folder = folders.store_folder(data_dir, name)
    old = folder.with_name(version_1.VERSION)
    if not (old / folders.SCHEMA_FILE).is_file():
        raise InputError(f"There is no store of version 1 in {old}.")
    schema = reader.read_schema(old)
    with files.placed(folder, overwrite=False) as new:
        for pattern in ("*.parquet", "*.probabilities.npy"):
            for path in old.glob(pattern):
                shutil.copy(path, new)
        written = writer.write(new, schema, _blocks(old, schema, advance))
        if dict(written.schema.rows) != dict(schema.rows):
            raise InputError(
                f"The records in {old} hold {dict(written.schema.rows)} rows, expected {dict(schema.rows)}; prepare the data again."
            )
    return written


def _blocks(
    folder: pathlib.Path, schema: Schema, advance: Advance
) -> Iterator[writer.Block]:
    num_rows = sum(schema.rows.values())
    for split in schema.rows:
        for rows in record_reader.read(folder, split, schema):
            yield writer.Block(split, rows)
            advance("upgrade", len(rows.labels), num_rows, "rows")
