"""TFDS builders whose records are blocks of encoded rows, and the way to run one.

One record a row would be read at a few thousand rows a second; blocks of 8192 rows are
read at millions. TensorFlow is not needed: read with `as_data_source`, or with
`data.store.open_store`, which maps the rows into memory.

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

from afm_jax.errors import InputError
from afm_jax.features import Schema
from data import leftovers
from data.records import RecordWriter
from data.store import SCHEMA_FILE, SPLITS, VERSION, Rows, check_name, store_folder

BLOCK_ROWS = 8192
BLOCKS_PER_SHARD = 512


class Encoded(NamedTuple):
    """A source as encoded rows.

    Attributes:
        schema: how columns became features; the row counts are filled in when the
            blocks have been written.
        blocks: (split, rows) pairs, of any number of rows each, splits in any order and
            interleaved as one pass over the source gives them. The rows of a split are
            stored in the order in which they come.
    """

    schema: Schema
    blocks: Iterable[tuple[str, Rows]]


class BlockBuilder(FileReaderBuilder, skip_registration=True):
    """A data set stored as blocks of up to 8192 encoded rows, in order.

    A subclass is `data/<name>/<name>_dataset_builder.py: class Builder(BlockBuilder)`
    and says in `encode` how its source becomes rows. A record has int32 `ids` [N * S],
    float32 `values` [N * S] (or [0] if all are one), float32 `dense` [N * D] and float32
    `labels` [N]; matrices are flat in row order, because TFDS cannot read back a matrix
    without columns. The folder of the data set also holds the schema.

    Args:
        source: the file or folder to read; None means TFDS's `manual_dir`, or nothing
            for a subclass without `MANUAL_DOWNLOAD_INSTRUCTIONS`.
        options: the options of the preparation, for `encode`.
        name: name of the data set in `data_dir`, if it is not to be that of the builder.
        **kwargs: `data_dir` and the rest of `tfds.core.DatasetBuilder`.
    """

    VERSION = tfds.core.Version(VERSION)

    def __init_subclass__(cls, skip_registration: bool = True, **kwargs: Any):
        # TFDS has a data set named criteo of its own and registers one of a name.
        super().__init_subclass__(skip_registration=skip_registration, **kwargs)

    # Nothing is downloaded; to look for checksums of downloads, TFDS would import
    # importlib_resources, which it does not install.
    url_infos = None

    def __init__(
        self,
        *,
        source: pathlib.Path | None = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        self.source = source
        self.options = dict(options or {})
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
        def flat(dtype: type) -> tfds.features.Tensor:
            return tfds.features.Tensor(
                shape=(None,), dtype=dtype, encoding=tfds.features.Encoding.BYTES
            )

        return tfds.core.DatasetInfo(
            builder=self,
            description="Blocks of encoded rows; schema.json says what they mean.",
            features=tfds.features.FeaturesDict(
                {
                    "ids": flat(np.int32),
                    "values": flat(np.float32),
                    "dense": flat(np.float32),
                    "labels": flat(np.float32),
                }
            ),
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
        writer = RecordWriter(info, BLOCKS_PER_SHARD)
        counts: dict[str, int] = {}
        for split, rows in reblock(encoded.blocks, BLOCK_ROWS):
            if split not in SPLITS:
                raise ValueError(f"split {split!r}, expected one of {SPLITS}")
            counts[split] = counts.get(split, 0) + len(rows.labels)
            writer.add(split, _record(rows))
        if "train" not in counts:
            raise InputError(f"{self.name}: no rows for the training split.")
        self.info.set_splits(writer.close())
        in_order = {split: counts[split] for split in SPLITS if split in counts}
        schema = dataclasses.replace(encoded.schema, rows=in_order)
        (folder / SCHEMA_FILE).write_text(schema.to_json(), encoding="utf-8")
        shutil.rmtree(folder / "scratch", ignore_errors=True)


def build(
    builder: type[BlockBuilder],
    *,
    data_dir: pathlib.Path,
    name: str | None = None,
    source: pathlib.Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Schema:
    """Builds `data_dir/<name>/<version>/` and returns its schema, row counts included.

    After an error, or a kill, there is no such folder; what a killed build of this name
    has left is removed.

    Args:
        builder: the kind of source.
        data_dir: folder of all stores.
        name: name of the store; None means the builder's.
        source: file or folder to read, where the builder needs one.
        options: options of the preparation, for `builder.encode`.

    Raises:
        InputError: the name is taken or no name, or `encode` refused the source.
    """
    name = name or builder.name
    check_name(name)
    folder = store_folder(data_dir, name)
    if folder.exists():
        raise InputError(
            f"{folder} exists; remove it, or keep the new data under another name."
        )
    tfds.disable_progress_bar()
    dataset = builder(data_dir=str(data_dir), name=name, source=source, options=options)
    # TFDS makes a folder for downloads, and announces one on stdout, although there is
    # nothing to download.
    with (
        tempfile.TemporaryDirectory() as downloads,
        contextlib.redirect_stdout(io.StringIO()),
        leftovers.made(folder.parent),
        leftovers.cleared(folder.parent, f"incomplete.*_{VERSION}"),
    ):
        dataset.download_and_prepare(download_dir=downloads)
    return Schema.from_json((folder / SCHEMA_FILE).read_text(encoding="utf-8"))


def reblock(
    blocks: Iterable[tuple[str, Rows]], block_rows: int
) -> Iterator[tuple[str, Rows]]:
    """The same rows of each split in the same order, in blocks of `block_rows` rows.

    Only the last block of a split is smaller. At most one unfinished block a split is
    held back.
    """
    waiting: dict[str, list[Rows]] = {}
    for split, rows in blocks:
        waiting.setdefault(split, []).append(rows)
        total = sum(len(part.labels) for part in waiting[split])
        if total < block_rows:
            continue
        joined = _concatenate(waiting[split])
        whole = total - total % block_rows
        for start in range(0, whole, block_rows):
            yield split, _slice(joined, start, start + block_rows)
        waiting[split] = [_slice(joined, whole, total)]
    for split, parts in waiting.items():
        rows = _concatenate(parts)
        if len(rows.labels):
            yield split, rows


def _concatenate(parts: list[Rows]) -> Rows:
    return Rows(
        *(
            None if columns[0] is None else np.concatenate(columns)
            for columns in zip(*parts, strict=True)
        )
    )


def _slice(rows: Rows, start: int, stop: int) -> Rows:
    return Rows(*(None if column is None else column[start:stop] for column in rows))


def _record(rows: Rows) -> dict[str, np.ndarray]:
    values = np.zeros(0, np.float32) if rows.values is None else rows.values
    return {
        "ids": np.asarray(rows.ids, np.int32).ravel(),
        "values": np.asarray(values, np.float32).ravel(),
        "dense": np.asarray(rows.dense, np.float32).ravel(),
        "labels": np.asarray(rows.labels, np.float32),
    }
