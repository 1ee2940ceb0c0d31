"""TFDS builders of data sets, the way to make a store of one, and its records.

Records are the interchange format: blocks of encoded rows that TFDS reads. One record a
row would be read at a few thousand rows a second; blocks of 8192 rows are read at
millions. TensorFlow is not needed: read with `as_data_source`.

Imports tensorflow_datasets, so import this module inside the function that builds.
"""

import abc
import contextlib
import dataclasses
import io
import pathlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from afm_jax import files
from afm_jax.data.progress import Advance, silent
from afm_jax.data.store import reader, record_writer, version_1, writer
from afm_jax.data.store.folders import SCHEMA_FILE, check_name, store_folder
from afm_jax.data.store.reader import SPLITS, Store
from afm_jax.data.store.writer import Block
from afm_jax.errors import InputError
from afm_jax.features import Rows, Schema

BLOCK_ROWS = 8192
BLOCKS_PER_SHARD = 512

_SCRATCH = "scratch"


class Encoded(NamedTuple):
    """A source as encoded rows.

    Attributes:
        schema: how columns became features; the row counts are filled in when the
            blocks have been written.
        blocks: of any number of rows each, splits in any order and interleaved as one
            pass over the source gives them. The rows of a split are stored in the order
            in which they come.
        former_counts: see `Store.former_counts`.
    """

    schema: Schema
    blocks: Iterable[Block]
    former_counts: np.ndarray | None = None


class BlockBuilder(FileReaderBuilder, skip_registration=True):
    """A data set as blocks of encoded rows, in order.

    A subclass is `data/<name>/<name>_dataset_builder.py: class Builder(BlockBuilder)`
    and says in `encode` how its source becomes rows. `build` makes a store of it;
    TFDS's `download_and_prepare` makes records, see `record_writer`. The folder of the
    records also holds the schema.

    Args:
        source: the file or folder to read; None means TFDS's `manual_dir`, or nothing
            for a subclass without `MANUAL_DOWNLOAD_INSTRUCTIONS`.
        options: the options of the preparation, for `encode`.
        name: name of the data set in `data_dir`, if it is not to be that of the builder.
        advance: for `encode`, to tell how far it is.
        **kwargs: `data_dir` and the rest of `tfds.core.DatasetBuilder`.
    """

    name: str
    VERSION = tfds.core.Version(version_1.VERSION)

    def __init_subclass__(cls, skip_registration: bool = True, **kwargs: Any):
        # TFDS has a data set named criteo of its own and registers one of a name.
        super().__init_subclass__(skip_registration=skip_registration, **kwargs)  # type: ignore[call-arg]

    # Nothing is downloaded; to look for checksums of downloads, TFDS would import
    # importlib_resources, which it does not install.
    url_infos = None

    def __init__(
        self,
        *,
        source: pathlib.Path | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        advance: Advance = silent,
        **kwargs: Any,
    ):
        self.source = source
        self.options = dict(options or {})
        self.advance = advance
        if name is not None:
            self.name = name
        super().__init__(file_format="array_record", **kwargs)

    @abc.abstractmethod
    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        """Fits vocabularies and scales on the training rows and encodes all rows.

        The blocks should be a generator, so that memory does not grow with the source.
        `self.options` holds the options of the preparation.

        Args:
            source: what to read, None for a data set without a source.
            folder: the data set's folder while it is built. Files written here, such
                as vocabularies, stay in the data set; those under `folder / "scratch"`
                (not made yet) are removed when all blocks have been taken.

        Raises:
            InputError: the source or an option is not as it should be.
        """

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Blocks of encoded rows; schema.json says what they mean.",
            features=record_writer.features(),
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Writes splits, schema and other files into `self.data_dir`.

        TFDS calls this with a temporary `data_dir`, which it renames after success and
        removes after an error. Its generator-based builders are not used because they
        keep up to a gigabyte of rows in memory, to sort them, and take the splits one
        after another.
        """
        source = self.source
        if source is None and self.MANUAL_DOWNLOAD_INSTRUCTIONS:
            source = pathlib.Path(dl_manager.manual_dir)
        folder = pathlib.Path(self.data_dir)
        encoded = self.encode(source, folder)
        info = self._info()  # unlike self.info, of the temporary folder
        records = record_writer.RecordWriter(info, BLOCKS_PER_SHARD)
        counts: dict[str, int] = {}
        for split, rows in reblock(encoded.blocks, BLOCK_ROWS):
            if split not in SPLITS:
                raise ValueError(f"split {split!r}, expected one of {SPLITS}")
            counts[split] = counts.get(split, 0) + len(rows.labels)
            records.add(split, record_writer.record(rows))
        if "train" not in counts and encoded.former_counts is None:
            raise InputError(f"{self.name}: no rows for the training split.")
        self.info.set_splits(records.close())
        in_order = {split: counts[split] for split in SPLITS if split in counts}
        schema = dataclasses.replace(encoded.schema, rows=in_order)
        (folder / SCHEMA_FILE).write_text(schema.to_json(), encoding="utf-8")
        shutil.rmtree(folder / _SCRATCH, ignore_errors=True)


def build(
    builder: type[BlockBuilder],
    *,
    data_dir: pathlib.Path,
    name: str | None = None,
    source: pathlib.Path | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    advance: Advance = silent,
) -> writer.Written:
    """Makes the store `data_dir/<name>/<version>/`.

    After an error, or a kill, the folder is as it was before; what a killed build of
    this name has left is removed.

    Args:
        builder: the kind of source.
        data_dir: folder of all stores.
        name: name of the store; None means the builder's.
        source: file or folder to read, where the builder needs one.
        options: options of the preparation, for `builder.encode`.
        overwrite: whether the store replaces one of this name.
        advance: told how far the preparation is.

    Returns:
        The schema, row counts included, and what the rows hold.

    Raises:
        InputError: the name is taken or no name, or `encode` refused the source.
    """
    name = name or builder.name
    check_name(name)
    folder = store_folder(data_dir, name)
    former = folder.with_name(version_1.VERSION)
    with files.placed(folder, overwrite=overwrite) as new:
        files.check_free(former, overwrite=overwrite)
        data = builder(
            data_dir=str(new),
            name=name,
            source=source,
            options=options,
            advance=advance,
        )
        encoded = data.encode(source, new)
        written = writer.write(new, *encoded)
        shutil.rmtree(new / _SCRATCH, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)
    return written


def write_records(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """Makes records of a store, and returns their folder, `data_dir/<name>/1.0.0/`.

    Raises:
        InputError: no such store, or it has records already.
    """
    folder = store_folder(data_dir, name)
    opened = reader.open_store(data_dir, name)
    former = folder.with_name(version_1.VERSION)
    files.check_free(former, overwrite=False)
    tfds.disable_progress_bar()
    dataset = _OfStore(
        data_dir=str(data_dir), name=name, source=folder, options={"store": opened}
    )
    # TFDS makes a folder for downloads, and announces one on stdout, although there is
    # nothing to download.
    with (
        tempfile.TemporaryDirectory() as downloads,
        contextlib.redirect_stdout(io.StringIO()),
        files.cleared(folder.parent, f"incomplete.*_{former.name}"),
    ):
        dataset.download_and_prepare(download_dir=downloads)
    return former


class _OfStore(BlockBuilder):
    """A store as a data set; its option 'store' is the open store in `source`."""

    def encode(self, source: pathlib.Path | None, folder: pathlib.Path) -> Encoded:
        opened: Store = self.options["store"]
        for pattern in ("*.parquet", "*.probabilities.npy"):
            for path in (source or folder).glob(pattern):
                shutil.copy(path, folder)
        blocks = (
            Block(split, rows.slice(start, start + BLOCK_ROWS))
            for split, rows in opened.splits.items()
            for start in range(0, len(rows.labels), BLOCK_ROWS)
        )
        return Encoded(opened.schema, blocks, opened.former_counts)


def reblock(blocks: Iterable[Block], block_rows: int) -> Iterator[tuple[str, Rows]]:
    """The same rows of each split in the same order, in blocks of `block_rows` rows.

    Only the last block of a split is smaller. At most one unfinished block a split is
    held back.
    """
    waiting: dict[str, list[Rows]] = {}
    for split, rows, *_ in blocks:
        waiting.setdefault(split, []).append(rows)
        total = sum(len(part.labels) for part in waiting[split])
        if total < block_rows:
            continue
        joined = Rows.concatenate(waiting[split])
        whole = total - total % block_rows
        for start in range(0, whole, block_rows):
            yield split, joined.slice(start, start + block_rows)
        waiting[split] = [joined.slice(whole, total)]
    for split, parts in waiting.items():
        rows = Rows.concatenate(parts)
        if len(rows.labels):
            yield split, rows
