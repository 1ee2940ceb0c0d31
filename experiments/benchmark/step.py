"""The train step: milliseconds and examples a second, by model, batch and vocabulary."""

import itertools
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax.data.loader import Loader
from afm_jax.features import Rows
from afm_jax.training import catch_up, feed, optimizers, steps
from afm_jax.training.devices import Devices
from afm_jax.training.task import Task
from experiments.benchmark import timing, workload

SOURCES = ("memory", "loader")
"""Where a step's batch comes from: ready on the device, its distinct ids found; or the
shuffling loader, which sees to that in its thread, as in training."""

STEPS_OF_A_CALL = 8
"""As `feed` makes them at most. Fewer would leave batches that were made in vain."""

LOADER_BATCHES = 64
"""Batches of an epoch of the loader."""


EPOCH_STEPS = 1 << 16
"""Steps of which table rows are told what they miss; later steps count as the last."""

_log = logging.getLogger(__name__)


def run(
    *,
    models: Mapping[str, Callable[[int], nn.Module]],
    batch_sizes: Sequence[int],
    vocab_sizes: Sequence[int],
    table_updates: Sequence[str] = ("rows",),
    sources: Sequence[str] = ("memory", "loader"),
    optimizer: str = "adam",
    turns: timing.Turns = timing.TURNS,
) -> list[dict[str, Any]]:
    """Times the compiled step that `experiments.train` runs.

    All cases of a model and a batch size take turns. Their batches have the same number
    of distinct ids, see `workload.random_rows`, whatever the vocabulary.

    Args:
        models: by name, what makes the model of a vocab_size.
        batch_sizes: rows of a batch.
        vocab_sizes: table rows.
        table_updates: of `task.TABLE_UPDATES`.
        sources: of `SOURCES`.
        optimizer: of `optimizers.OPTIMIZERS`, with gradient clipping.
        turns: how often the cases take turns, and how long a turn is.

    Returns:
        For each case 'ms' of a step; 'processor_ms', of all threads together;
        'examples_per_second'; 'of_smallest', the time over that of the smallest
        vocabulary, else alike, and 'processor_of_smallest'; 'of_memory', the speed over
        that of source 'memory', else alike; 'first_step_s', with compilation;
        'distinct', ids in the first batch.
    """
    cases = []
    for name, batch_size in itertools.product(models, batch_sizes):
        _log.info("%s, batch %d", name, batch_size)
        runs = {
            (vocab_size, update): Run(
                models[name](vocab_size),
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
        times = timing.interleaved(
            works,
            turns,
            units=dict.fromkeys(works, STEPS_OF_A_CALL),
        )
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
    """A run in training: its feed, its state and where its batches come from."""

    def __init__(
        self, model: Any, tx: Any, batch_size: int, table_update: str, data: Rows
    ):
        devices = Devices(model.vocab_size)
        devices.check_batch_size(batch_size)
        self._loader = Loader(data, batch_size)
        first = self._loader.batch(0, 0).features
        self.distinct = np.unique(first.ids).size
        task = Task(model, optimizer=tx, table_update=table_update)
        state = devices.create_state(model, tx, first, jax.random.key(0))
        # Table rows rest through all steps that are timed, as through an epoch.
        laws = catch_up.of(task, state.params)
        self._state = catch_up.begin(laws, state, EPOCH_STEPS)
        step = steps.make_train_step(task, axis_name=devices.axis_name)
        self._steps = devices.compile_train_steps(step, self._state)
        self._feed = feed.make(
            "host",
            devices,
            self._loader,
            find_unique_ids=table_update != "dense",
        )
        self._losses: jax.Array | None = None
        self._ready = list(self._calls(STEPS_OF_A_CALL, at_once=STEPS_OF_A_CALL))
        self._single = next(self._calls(STEPS_OF_A_CALL, at_once=1))
        jax.block_until_ready(self._state)
        start = time.perf_counter()
        self._in_memory(1)
        self.first_step_seconds = time.perf_counter() - start
        self._through_loader(LOADER_BATCHES)  # other numbers of rows compile, too

    def work(self, source: str) -> timing.Work:
        """Steps on batches of this source."""
        return {"memory": self._in_memory, "loader": self._through_loader}[source]

    def _calls(self, count: int, *, at_once: int) -> Generator[feed.Call, None, None]:
        """An epoch as short as wanted: none is left early, with batches made in vain."""
        self._loader.steps_per_epoch = count
        return self._feed.calls(0, 0, lambda step: step + at_once)

    def _call(self, call: feed.Call) -> None:
        """As `Trainer.train` does: one call runs and one waits."""
        before = self._losses
        self._state, self._losses = self._steps(
            self._state, call.source, call.first, call.last
        )
        jax.block_until_ready(before)

    def _in_memory(self, count: int) -> None:
        for call in itertools.cycle(self._ready):
            if call.steps > count:
                break
            self._call(call)
            count -= call.steps
        for _ in range(count):
            self._call(self._single)
        jax.block_until_ready(self._state)

    def _through_loader(self, count: int) -> None:
        """Starts the loader anew, as every epoch does."""
        while count > 0:
            for call in self._calls(
                min(count, LOADER_BATCHES), at_once=STEPS_OF_A_CALL
            ):
                self._call(call)
                count -= call.steps
        jax.block_until_ready(self._state)
