"""The loader: rows a second, shuffled and in order, from mapped files."""

import contextlib
import itertools
import pathlib
import tempfile
from typing import Any

import numpy as np

from afm_jax.data.loader import Loader
from afm_jax.features import Rows
from experiments.benchmark import timing, workload


def run(
    *,
    num_rows: int = 2_000_000,
    batch_size: int = 4096,
    vocab_size: int = 1_000_000,
    turns: timing.Turns = timing.TURNS,
) -> list[dict[str, Any]]:
    """Times batches of `workload.random_rows`, made ahead in the loader's thread.

    Args:
        num_rows: rows of the split; their files were just written, so that they are
            read from the page cache as far as memory suffices.
        batch_size: rows of a batch.
        vocab_size: largest id + 1.
        turns: how often the cases take turns, and how long a turn is.

    Returns:
        For each order 'rows_per_second'; 'rows_per_processor_second'; 'of_in_order', the
        speed over that of the rows in order.
    """
    batch_size = min(batch_size, num_rows)
    with tempfile.TemporaryDirectory() as folder:
        rows = _mapped(workload.random_rows(num_rows, vocab_size), pathlib.Path(folder))
        works = {
            order: _work(Loader(rows, batch_size, shuffle=order == "shuffled"))
            for order in ("in order", "shuffled")
        }
        times = timing.interleaved(works, turns)
    return [
        {
            "order": order,
            "batch_size": batch_size,
            "rows": num_rows,
            "rows_per_second": timing.spread(batch_size / each.seconds),
            "rows_per_processor_second": timing.spread(
                batch_size / each.processor_seconds
            ),
            "of_in_order": timing.spread(times["in order"].seconds / each.seconds),
        }
        for order, each in times.items()
    ]


def _work(loader: Loader) -> timing.Work:
    """Takes so many batches, from the start of an epoch."""

    def work(count: int) -> None:
        epochs = -(-count // loader.steps_per_epoch)
        for epoch in range(epochs):
            with contextlib.closing(loader.batches(epoch)) as batches:
                for _ in itertools.islice(batches, count):
                    count -= 1

    return work


def _mapped(rows: Rows, folder: pathlib.Path) -> Rows:
    columns = {}
    for name, column in rows._asdict().items():
        if column is not None:
            path = folder / f"{name}.npy"
            np.save(path, column)
            columns[name] = np.load(path, mmap_mode="r").view(np.ndarray)
    return rows._replace(**columns)
