"""The train step: milliseconds and examples a second, by model, batch and vocabulary."""

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from afm_jax import models
from afm_jax.features import Batch
from afm_jax.ops import losses
from afm_jax.training import optimizers, parallel, rows, steps
from data.loader import Loader
from data.store import Rows
from experiments.benchmark import timing, workload

SOURCES = ("memory", "compact", "loader")
"""Where a step's batch comes from: ready on the device; host rows, compacted and
transferred between steps; or the shuffling loader, which does that in its thread."""

LOADER_BATCHES = 64
"""Batches of an epoch of the loader."""

_BATCHES = 8

_log = logging.getLogger(__name__)


def run(
    *,
    model_names: Sequence[str],
    batch_sizes: Sequence[int],
    vocab_sizes: Sequence[int],
    table_updates: Sequence[str] = ("rows",),
    sources: Sequence[str] = ("memory", "loader"),
    optimizer: str = "adam",
    settings: Mapping[str, Any] = {},
    windows: int = 7,
    seconds: float = 0.5,
) -> list[dict[str, Any]]:
    """Times the compiled step that `experiments.train` runs.

    All cases of a model and a batch size take turns. Their batches have the same number
    of distinct ids, see `workload.random_rows`, whatever the vocabulary.

    Args:
        model_names: names of models.
        batch_sizes: rows of a batch.
        vocab_sizes: table rows.
        table_updates: of `steps.TABLE_UPDATES`.
        sources: of `SOURCES`.
        optimizer: of `optimizers.OPTIMIZERS`, with gradient clipping.
        settings: hyperparameters of all of them; else their defaults, k = 16.
        windows: as in `timing.interleaved`.
        seconds: as in `timing.interleaved`.

    Returns:
        For each case 'ms' of a step; 'processor_ms', of all threads together;
        'examples_per_second'; 'of_smallest', the time over that of the smallest
        vocabulary, else alike, and 'processor_of_smallest'; 'of_memory', the speed over
        that of source 'memory', else alike; 'first_step_s', with compilation;
        'distinct', ids in the first batch.
    """
    cases = []
    for name, batch_size in itertools.product(model_names, batch_sizes):
        _log.info("%s, batch %d", name, batch_size)
        runs = {
            (vocab_size, update): Run(
                models.make(name, vocab_size=vocab_size, **settings),
                optimizers.make(optimizer, 1e-3, clip_norm=10.0),
                batch_size,
                update,
                workload.random_rows(
                    LOADER_BATCHES * batch_size, vocab_size, used=min(vocab_sizes)
                ),
            )
            for vocab_size, update in itertools.product(vocab_sizes, table_updates)
        }
        works = {
            (*key, source): run.work(source)
            for key, run in runs.items()
            for source in sources
        }
        times = timing.interleaved(works, windows=windows, seconds=seconds)
        for (vocab_size, update, source), each in times.items():
            smallest = times[min(vocab_sizes), update, source]
            memory = times.get((vocab_size, update, "memory"))
            run = runs[vocab_size, update]
            cases.append(
                {
                    "model": name,
                    "batch_size": batch_size,
                    "vocab_size": vocab_size,
                    "table_update": update,
                    "source": source,
                    "ms": timing.spread(1e3 * each.seconds),
                    "processor_ms": timing.spread(1e3 * each.processor_seconds),
                    "examples_per_second": timing.spread(batch_size / each.seconds),
                    "of_smallest": timing.spread(each.seconds / smallest.seconds),
                    "processor_of_smallest": timing.spread(
                        each.processor_seconds / smallest.processor_seconds
                    ),
                    "of_memory": None
                    if memory is None
                    else timing.spread(memory.seconds / each.seconds),
                    "first_step_s": run.first_step_seconds,
                    "distinct": run.distinct,
                }
            )
    return cases


class Run:
    """A run in training: its step, its state and where its batches come from."""

    def __init__(self, model, tx, batch_size: int, table_update: str, data: Rows):
        devices = parallel.Devices(model.vocab_size)
        devices.check_batch_size(batch_size)
        self._loader = Loader(data, batch_size)
        self._host = [self._loader.batch(0, step) for step in range(_BATCHES)]
        self.distinct = np.unique(self._host[0].features.ids).size

        def prepare(batch: Batch) -> Batch:
            ready = rows.compact(batch) if table_update == "rows" else batch
            return devices.place_batch(ready)

        self._prepare = prepare
        self._ready = [prepare(batch) for batch in self._host]
        self._state = devices.create_state(
            model, tx, self._host[0].features, jax.random.key(0)
        )
        step = steps.make_train_step(
            model,
            tx,
            losses.sigmoid_cross_entropy,
            table_update=table_update,
            axis_name=devices.axis_name,
        )
        self._step = devices.compile_train_step(step, self._state)
        jax.block_until_ready(self._state)
        start = time.perf_counter()
        self._advance(self._ready[:1])
        self.first_step_seconds = time.perf_counter() - start
        self._advance(self._ready)  # other numbers of rows compile, too

    def work(self, source: str) -> timing.Work:
        """Steps on batches of this source."""
        works: dict[str, Callable[[int], None]] = {
            "memory": lambda n: self._advance(
                itertools.islice(itertools.cycle(self._ready), n)
            ),
            "compact": lambda n: self._advance(
                map(self._prepare, itertools.islice(itertools.cycle(self._host), n))
            ),
            "loader": self._through_loader,
        }
        return works[source]

    def _through_loader(self, count: int) -> None:
        """Starts the loader anew, as every epoch does."""
        while count > 0:
            with contextlib.closing(
                self._loader.batches(0, transform=self._prepare)
            ) as batches:
                self._advance(itertools.islice(batches, count))
            count -= self._loader.steps_per_epoch

    def _advance(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._state, _ = self._step(self._state, batch)
        jax.block_until_ready(self._state)
