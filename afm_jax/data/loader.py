"""Batches of a split as a function of (seed, epoch, step), made ahead in a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from afm_jax.data.permutation import permute
from afm_jax.errors import InputError, whole_number
from afm_jax.features import Batch, Features, Rows

AHEAD = 3
"""Batches that `Loader.batches` may have ready before they are asked for."""

T = TypeVar("T")


class Loader:
    """Batches of the rows of a split.

    Nothing depends on what was asked before, so that a run that stopped after a step
    goes on at the next one, in the same order.

    Attributes:
        num_rows: rows of the split, N.
        batch_size: rows of a batch, at most N rounded up to a multiple of `multiple`.
        steps_per_epoch: ceil(N / batch_size).
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        *,
        seed: int = 0,
        shuffle: bool = True,
        multiple: int = 1,
    ):
        """Makes a loader; nothing is read yet.

        Args:
            rows: the split; may be mapped from disk.
            batch_size: rows of a batch. One above the number of rows is capped, since
                the rest of the batch would be padding.
            multiple: number of devices. It divides a capped batch size, too.
            seed: with the epoch, names the order of the rows.
            shuffle: False keeps the order of the file, for evaluation.

        Raises:
            InputError: no rows, or a batch size below 1.
        """
        if not len(rows.labels):
            raise InputError("There are no rows to make batches of.")
        batch_size = whole_number("batch_size", batch_size, least=1)
        self.num_rows = len(rows.labels)
        whole = -(-self.num_rows // multiple) * multiple
        self.batch_size = min(batch_size, whole)
        self.steps_per_epoch = -(-self.num_rows // self.batch_size)
        self._rows = rows._replace(numbers=None)
        self._seed = seed
        self._shuffle = shuffle

    def batch(self, epoch: int, step: int) -> Batch:
        """A batch, as NumPy arrays.

        The last batch of an epoch is filled up by its own rows, again from its first
        one, with weight 0; all other rows have the weight that the data give them, or 1.

        Args:
            epoch: from 0; every row occurs once an epoch.
            step: within the epoch, in [0, steps_per_epoch).

        Raises:
            IndexError: no such step.
        """
        if not 0 <= step < self.steps_per_epoch:
            raise IndexError(f"step {step} of {self.steps_per_epoch} an epoch")
        return self._take(epoch, np.array(step))

    def _take(self, epoch: int, steps: np.ndarray) -> Batch:
        """The batches of some steps; arrays of the shape of `steps`, then a batch's."""
        positions = self._positions(epoch, steps)
        places = steps[..., None] * self.batch_size + np.arange(self.batch_size)
        taken = self._rows.take(positions)
        real = (places < self.num_rows).astype(np.float32)
        weights = real if taken.weights is None else taken.weights * real
        features = Features(taken.ids, taken.values, taken.dense)
        return Batch(features, taken.labels, weights)

    def order(self, epoch: int) -> np.ndarray:
        """Which rows the batches of an epoch are of, by their place in `all_rows`.

        Args:
            epoch: from 0.

        Returns:
            int64 [steps_per_epoch, batch_size]. The last batch repeats rows, as in
            `batch`.
        """
        return self._positions(epoch, np.arange(self.steps_per_epoch))

    def all_rows(self) -> Batch:
        """All rows of the split, in the order of the file."""
        rows, weights = self._rows, self._rows.weights
        if weights is None:
            weights = np.ones(self.num_rows, np.float32)
        return Batch(Features(rows.ids, rows.values, rows.dense), rows.labels, weights)

    def _positions(self, epoch: int, steps: np.ndarray) -> np.ndarray:
        """The rows of some batches, int64 [*steps, batch_size]."""
        starts = steps[..., None] * self.batch_size
        counts = np.minimum(self.batch_size, self.num_rows - starts)
        positions = starts + np.arange(self.batch_size) % counts
        if not self._shuffle:
            return positions
        return permute(positions, self.num_rows, key=(self._seed, epoch))

    def batches(
        self,
        epoch: int,
        *,
        first_step: int = 0,
        transform: Callable[[Batch], Any] = lambda batch: batch,
    ) -> Generator[Any, None, None]:
        """The batches of an epoch from `first_step` on, made ahead in a thread.

        Closing the iterator stops and joins the thread; so does its end. A consumer
        that may leave early should hold it in `contextlib.closing`.

        Args:
            epoch: from 0.
            first_step: the first step wanted.
            transform: applied to every batch in the thread, such as the transfer to a
                device.

        Yields:
            transform(batch) for each step; an exception in the thread is raised here.
        """
        steps = range(first_step, self.steps_per_epoch)
        return _ahead((transform(self.batch(epoch, step)) for step in steps), AHEAD)

    def stacks(
        self,
        epoch: int,
        size: int,
        *,
        first_step: int = 0,
        transform: Callable[[Batch], Any] = lambda batches: batches,
    ) -> Generator[Any, None, None]:
        """As `batches`, several at once, and one stack ahead.

        Args:
            epoch: from 0.
            size: batches of a stack; the first is of a step that is a multiple of it.
                Past the end of the epoch the last batch is repeated.
            first_step: a step of the first stack wanted.
            transform: applied to every stack in the thread.

        Yields:
            transform(batches) for each stack, their arrays stacked to [size, ...].
        """
        starts = range(first_step - first_step % size, self.steps_per_epoch, size)
        last = self.steps_per_epoch - 1
        steps = (np.minimum(start + np.arange(size), last) for start in starts)
        return _ahead((transform(self._take(epoch, each)) for each in steps), 1)


class _Ended(NamedTuple):
    """Stands behind the last item: why there are no more."""

    error: BaseException


def _ahead(items: Iterator[T], count: int) -> Generator[T, None, None]:
    """The same items, up to `count` of them made before they are asked for."""
    ready: queue.SimpleQueue[T | _Ended] = queue.SimpleQueue()
    room = threading.Semaphore(count)
    stop = threading.Event()

    def produce() -> None:
        try:
            while True:
                room.acquire()
                if stop.is_set():
                    return
                ready.put(next(items))
        except BaseException as error:
            ready.put(_Ended(error))

    # A daemon, so that a program can end although an iterator was left open.
    thread = threading.Thread(target=produce, name="loader", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _Ended):
                if isinstance(item.error, StopIteration):
                    return
                raise item.error
            room.release()
            yield item
    finally:
        stop.set()
        room.release()
        thread.join()
