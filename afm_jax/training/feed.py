"""The updates of an epoch, many in one call, from rows on the host or the device."""

import concurrent.futures
import contextlib
from collections.abc import Callable, Generator
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Array, Batch
from afm_jax.training import steps, table_rows
from afm_jax.training.devices import Devices
from afm_jax.training.state import TrainState

PLACEMENTS = ("auto", "host", "device")

_SHARE = 1 / 4
"""Of a device's memory, what training rows may take for 'auto' to put them there."""


_STACK_STEPS, _STACK_NUMBERS = 8, 1 << 21
"""Steps of a call with rows on the host, and numbers in their batches: at most."""


class Batches(Protocol):
    """A split as batches; see `afm_jax.data.loader.Loader`."""

    num_rows: int
    batch_size: int
    steps_per_epoch: int

    def batch(self, epoch: int, step: int) -> Batch: ...

    def batches(
        self, epoch: int, *, first_step: int = 0, transform: Callable[[Batch], object]
    ) -> Generator: ...

    def stacks(
        self,
        epoch: int,
        size: int,
        *,
        first_step: int = 0,
        transform: Callable[[Batch], object],
    ) -> Generator: ...

    def order(self, epoch: int) -> np.ndarray: ...

    def all_rows(self) -> Batch: ...


class StackedBatches(NamedTuple):
    """Batches that follow one another in an epoch.

    Attributes:
        batches: their arrays, stacked to [S, B, ...].
    """

    batches: Batch

    @property
    def num_steps(self) -> int:
        """S."""
        return self.batches.labels.shape[0]

    def batch(self, i: Array) -> Batch:
        """That of step i of the stack."""
        return jax.tree.map(lambda array: array[i], self.batches)


class ResidentEpoch(NamedTuple):
    """The batches of an epoch, of rows that are on the device already.

    Attributes:
        rows: a whole split, arrays of [N, ...].
        order: int32 [S, B], the rows of the batch of each step; its places from N on
            are of weight 0.
    """

    rows: Batch
    order: Array

    @property
    def num_steps(self) -> int:
        """S."""
        return self.order.shape[0]

    def batch(self, i: Array) -> Batch:
        """That of step i of the epoch."""
        num_rows, batch_size = self.rows.labels.shape[0], self.order.shape[1]
        batch = jax.tree.map(lambda column: column[self.order[i]], self.rows)
        real = i * batch_size + jnp.arange(batch_size) < num_rows
        return batch._replace(weights=batch.weights * real)


class Call(NamedTuple):
    """Some updates in one go.

    Attributes:
        steps: how many.
        run: state -> (state, losses), on the device; entries of `losses` that are of no
            step of this call are 0.
        losses_from: the step within the epoch of the first entry of `losses`.
    """

    steps: int
    run: Callable[[TrainState], tuple[TrainState, jax.Array]]
    losses_from: int


class Feed(Protocol):
    """The updates of any epoch."""

    def calls(
        self, epoch: int, first_step: int, pause: Callable[[int], int]
    ) -> Generator[Call, None, None]:
        """What is to be called, in this order, from a step of an epoch to its end.

        Args:
            epoch: from 0.
            first_step: within the epoch.
            pause: step within the epoch -> a later one; no call that starts at the
                former goes beyond the latter.
        """


def make(
    placement: str,
    step: steps.Step,
    devices: Devices,
    train: Batches,
    state: TrainState,
    *,
    table_update: str,
) -> Feed:
    """The updates with training rows where they are to be.

    Args:
        placement: 'host' reads ahead in a thread. 'device' puts all rows on every
            device before the first step. 'auto' does so if the device is no CPU, and a
            quarter of its memory holds them.
        step: the update.
        devices: where to compute.
        train: the training rows.
        state: a state on the devices, for its shapes.
        table_update: as `step` was made with.

    Raises:
        InputError: an unknown placement, or 'device' with one program for each device or
            with 2^31 rows.
    """
    check_one_of("data_placement", placement, PLACEMENTS)
    # The device numbers the places of an epoch in int32.
    places = train.steps_per_epoch * train.batch_size
    if placement == "auto":
        memory = devices.memory
        size = sum(array.nbytes for array in jax.tree.leaves(train.all_rows()))
        fits = memory and size <= _SHARE * memory and places < 1 << 31
        placement = "device" if fits else "host"
    if placement == "device":
        if places >= 1 << 31:
            raise InputError(
                f"data_placement='device' takes fewer than 2^31 training rows, found {train.num_rows}; train with data_placement='host'."
            )
        return _OnDevice(step, devices, train, state)
    from_host = _Stacks if devices.many_steps else _OneByOne
    return from_host(step, devices, train, state, table_update)


class _OneByOne:
    """Batches of the host, one in every call."""

    def __init__(self, step, devices, train, state, table_update):
        self._devices, self._train = devices, train
        self._step = devices.compile_train_step(step, state)
        self._finds_unique_ids = (
            table_update == "rows" and devices.host_finds_unique_ids
        )

    def calls(self, epoch, first_step, pause):
        batches = self._train.batches(
            epoch, first_step=first_step, transform=self._prepare
        )
        with contextlib.closing(batches):
            for step, batch in enumerate(batches, first_step):

                def run(state, batch=batch):
                    state, metrics = self._step(state, batch)
                    return state, metrics["loss"]

                yield Call(1, run, losses_from=step)

    def _prepare(self, batch):
        ready = table_rows.deduplicate(batch) if self._finds_unique_ids else batch
        return self._devices.place_batch(ready)


class _Stacks:
    """Batches of the host, several in every call.

    A stack starts at a multiple of its size, wherever an epoch goes on, and every call
    runs one program on all of it: what is computed does not depend on the calls.

    One call runs and one waits. More that wait would each hold memory already.
    """

    def __init__(self, step, devices, train, state, table_update):
        self._devices, self._train = devices, train
        self._steps = devices.compile_train_steps(step, state)
        self._last_losses: jax.Array | None = None
        self._finds_unique_ids = (
            table_update == "rows" and devices.host_finds_unique_ids
        )
        numbers = sum(array.size for array in jax.tree.leaves(train.batch(0, 0)))
        most = min(_STACK_STEPS, train.steps_per_epoch, _STACK_NUMBERS // numbers)
        self._size = max(1, most)

    def calls(self, epoch, first_step, pause):
        step, size = first_step, self._size
        stacks = self._train.stacks(
            epoch, size, first_step=first_step, transform=self._prepare
        )
        with contextlib.closing(stacks):
            for index, stack in enumerate(stacks, first_step // size):
                start = index * size
                end = min(start + size, self._train.steps_per_epoch)
                while step < end:
                    last = min(pause(step), end)

                    def run(state, stack=stack, span=(step - start, last - start)):
                        return self._run(state, stack, *span)

                    yield Call(last - step, run, losses_from=start)
                    step = last

    def _run(self, state, stack, first, last):
        state, losses = self._steps(state, stack, first, last)
        jax.block_until_ready(self._last_losses)
        self._last_losses = losses
        return state, losses

    def _prepare(self, batches):
        ready = (
            table_rows.deduplicate_stack(batches) if self._finds_unique_ids else batches
        )
        return StackedBatches(self._devices.place_stack(ready))


class _OnDevice:
    """Only the order of an epoch goes over, made while the one before is trained."""

    def __init__(self, step, devices, train, state):
        self._train, self._devices = train, devices
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "order")
        self._ahead: dict[int, concurrent.futures.Future[np.ndarray]] = {}
        self._rows = devices.place_whole(train.all_rows())
        self._steps = devices.compile_train_steps(step, state)

    def calls(self, epoch, first_step, pause):
        order = self._devices.place_whole(self._order(epoch))
        while first_step < self._train.steps_per_epoch:
            last = min(pause(first_step), self._train.steps_per_epoch)

            def run(state, span=(first_step, last)):
                return self._steps(state, ResidentEpoch(self._rows, order), *span)

            yield Call(last - first_step, run, losses_from=0)
            first_step = last

    def _order(self, epoch):
        ahead = self._ahead.pop(epoch, None)
        order = self._train.order(epoch) if ahead is None else ahead.result()
        order = order.astype(np.int32)
        self._ahead = {epoch + 1: self._thread.submit(self._train.order, epoch + 1)}
        return order
