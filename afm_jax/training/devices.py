"""Devices: what compiles, and knows how many devices there are; see `state_layout`, too."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Batch, Features
from afm_jax.ops.batch_split import BATCH_AXIS
from afm_jax.training import untrained
from afm_jax.training.state import TrainState
from afm_jax.training.state_layout import StateLayout
from afm_jax.training.steps import Step, Steps, make_train_steps
from afm_jax.training.untrained import Untrained

T = TypeVar("T")

DEVICE_MAPS = ("mesh", "pmap")
TABLE_SHARDINGS = ("replicated", "rows")


class Devices(StateLayout):
    """Places states and batches on devices and compiles steps over them.

    Batches are split over the devices by rows. Whatever the layout of states, a step
    computes what one device would.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        device_map: str = "mesh",
        table_sharding: str = "replicated",
        devices: Sequence[jax.Device] | None = None,
    ):
        """Chooses devices and layout.

        Args:
            vocab_size: `num_ids`.
            device_map: 'mesh' compiles one program over all devices; 'pmap' compiles
                one for each, which draws dropout and batch statistics of its own.
            table_sharding: 'replicated', or 'rows' to keep on each device an equal
                share of the rows of every table and of the optimizer state that
                mirrors it.
            devices: the devices; all local ones by default.

        Raises:
            InputError: an unknown name, or 'pmap' with tables split by rows.
        """
        check_one_of("device_map", device_map, DEVICE_MAPS)
        check_one_of("table_sharding", table_sharding, TABLE_SHARDINGS)
        if device_map == "pmap" and table_sharding == "rows":
            raise InputError("table_sharding='rows' needs device_map='mesh'.")
        super().__init__(
            vocab_size,
            list(devices or jax.local_devices()),
            pmap=device_map == "pmap",
            split_tables=table_sharding == "rows",
        )

    @property
    def axis_name(self) -> str | None:
        """The `axis_name` that `make_train_step` needs here."""
        return BATCH_AXIS if self._pmap else None

    @property
    def host_finds_unique_ids(self) -> bool:
        """Whether the distinct ids of a batch are to be found before it is placed.

        On a CPU the thread that reads ahead sorts faster than the compiled step, and
        `jax.pmap` needs them before the batch is split. An accelerator needs a fraction
        of a millisecond for what takes the host several.
        """
        return self._pmap or self._devices[0].platform == "cpu"

    @property
    def many_steps(self) -> bool:
        """Whether a call can make many steps; not under 'pmap'."""
        return not self._pmap

    @property
    def memory(self) -> int | None:
        """Bytes of memory for arrays on each device; None if that is the host's."""
        if self._pmap or self._devices[0].platform == "cpu":
            return None
        return (self._devices[0].memory_stats() or {}).get("bytes_limit")

    def check_batch_size(self, batch_size: int) -> None:
        """Raises InputError if the devices cannot split such a batch evenly."""
        if batch_size % self.count:
            raise InputError(
                f"batch_size must be a multiple of the number of devices, {self.count}; found {batch_size}."
            )

    def place_batch(self, batch: Batch) -> Batch:
        """A batch of host arrays, split over the devices.

        For one CPU it stays as it is: a compiled call takes host arrays at less cost
        than that of placing them before.
        """
        if self._pmap:
            count = self.count
            split = jax.tree.map(
                lambda a: a.reshape(count, len(a) // count, *a.shape[1:]),
                batch._replace(unique_ids=None),
            )
            return split._replace(unique_ids=batch.unique_ids)
        if self.count == 1 and self._devices[0].platform == "cpu":
            return batch
        return jax.device_put(batch, self._batch_shardings(batch))

    def place_stack(self, batches: Batch) -> Batch:
        """Stacked batches of host arrays, as `place_batch` places one; no 'pmap'."""
        if self.count > 1 or self._devices[0].platform != "cpu":
            batches = jax.device_put(batches, self._batch_shardings(batches, None))
        return batches

    def place_whole(self, arrays: T) -> T:
        """Arrays of the host, whole on every device.

        Raises:
            InputError: under 'pmap', whose programs each have a batch of their own.
        """
        if self._pmap:
            raise InputError("data_placement='device' needs device_map='mesh'.")
        return jax.device_put(arrays, self._sharding())

    def compile_train_step(self, step: Step, state: TrainState) -> Step:
        """The compiled step; it takes over the buffers of the state it is given.

        Args:
            step: of `make_train_step(..., num_table_rows=self.num_table_rows,
                axis_name=self.axis_name)`.
            state: a state on these devices, for its shapes.
        """
        if not self._pmap:
            shardings = (self._state_shardings(state), None)
            compiled = jax.jit(
                self._on_mesh(step), donate_argnums=0, out_shardings=shardings
            )
            return self._ready(compiled)
        batch_axes = Batch(features=0, labels=0, weights=0, unique_ids=None)  # type: ignore[arg-type]
        mapped = self._ready(
            jax.pmap(step, BATCH_AXIS, in_axes=(0, batch_axes), donate_argnums=0)
        )

        def first_metrics(state, batch):
            state, metrics = mapped(state, batch)
            return state, jax.tree.map(lambda metric: metric[0], metrics)

        return first_metrics

    def compile_train_steps(self, step: Step, state: TrainState) -> Steps:
        """As `compile_train_step`, many steps in one call; see `make_train_steps`.

        Under 'pmap' a call makes one step: its source is a batch, placed.
        """
        if self._pmap:
            one = self.compile_train_step(step, state)

            def run(state, batch, first, last):
                state, metrics = one(state, batch)
                return state, metrics["loss"]

            return run

        def place(batch):
            shardings = self._batch_shardings(batch)
            return jax.lax.with_sharding_constraint(batch, shardings)

        shardings = (self._state_shardings(state), None)
        compiled = jax.jit(
            self._on_mesh(make_train_steps(step, place)),
            donate_argnums=0,
            out_shardings=shardings,
        )
        return self._ready(compiled)

    def compile_fill(
        self, state: TrainState, table_rows: Untrained
    ) -> Callable[[TrainState], TrainState]:
        """The compiled `untrained.fill`; it takes over the buffers of its state."""
        if self._pmap:
            fill = jax.pmap(untrained.fill, in_axes=(0, None), donate_argnums=0)
        else:
            shards = self.count if self._split_tables else 1
            fill = jax.jit(
                functools.partial(untrained.fill, shards=shards),
                donate_argnums=0,
                out_shardings=self._state_shardings(state),
            )
        compiled = self._ready(fill)
        return lambda state: compiled(state, table_rows)

    def compile_catch_up(
        self, end: Callable[..., TrainState], state: TrainState
    ) -> Callable[[TrainState], TrainState]:
        """The compiled `catch_up.end`; it takes over the buffers of its state.

        Args:
            end: (state, shards=) -> state.
            state: a state on these devices outside of an epoch, for its shapes.
        """

        def end_with(state, missed):
            shards = self.count if self._split_tables else 1
            return end(state._replace(missed=missed), shards=shards)

        if self._pmap:
            mapped = jax.pmap(end_with, donate_argnums=0)
        else:
            shardings = self._state_shardings(state)
            mapped = jax.jit(end_with, donate_argnums=0, out_shardings=shardings)
        compiled = self._ready(mapped)
        # Only what the new state has a place for can be taken over.
        return lambda state: compiled(state._replace(missed=None), state.missed)

    def compile_predict(
        self, predict: Callable[[Any, Features], jax.Array]
    ) -> Callable[[Any, Batch], jax.Array]:
        """The compiled prediction: (variables, batch) on these devices -> logits [B]."""
        mapped = jax.pmap(predict) if self._pmap else jax.jit(self._on_mesh(predict))
        compiled = self._ready(mapped)

        def logits(variables, batch):
            # Reshaping what several devices hold is a computation, too.
            return self._alone(compiled(variables, batch.features).reshape(-1))

        return logits

    def _on_mesh(self, function: Callable[..., T]) -> Callable[..., T]:
        """Says while the function is traced which devices share a batch."""

        @functools.wraps(function)
        def traced(*arguments):
            with jax.sharding.use_abstract_mesh(self._mesh.abstract_mesh):
                return function(*arguments)

        return traced

    def _batch_shardings(self, batch: Batch, *leading: None) -> Batch:
        """Every array split by the rows of its batch, after further leading axes."""
        split = self._sharding(*leading, BATCH_AXIS)
        shardings = jax.tree.map(lambda _: split, batch)
        whole = None if batch.unique_ids is None else self._sharding()
        return shardings._replace(unique_ids=whole)
