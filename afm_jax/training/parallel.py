"""Devices: the only file that compiles, and that knows how many devices there are."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afm_jax.errors import InputError, check_one_of
from afm_jax.features import Batch, Features
from afm_jax.ops.batch_split import BATCH_AXIS
from afm_jax.training import state as states
from afm_jax.training.state import TrainState
from afm_jax.training.steps import Stack, Step, Steps, make_train_steps

T = TypeVar("T")

DEVICE_MAPS = ("mesh", "pmap")
TABLE_SHARDINGS = ("replicated", "rows")


class Devices:
    """Places states and batches on devices and compiles steps over them.

    Batches are split over the devices by rows. A state is on every device, but its
    tables can be split by rows too. Either way a step computes what one device would.
    Narrow tables are joined (`state.join_narrow`), except under 'pmap'.

    Attributes:
        num_ids: number of feature ids, the rows of a table outside of this class.
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
        self._devices = list(devices or jax.local_devices())
        # Explicit axes, the default, refuse look-ups with split ids.
        self._mesh = jax.make_mesh(
            (len(self._devices),),
            (BATCH_AXIS,),
            axis_types=(AxisType.Auto,),
            devices=self._devices,
        )
        self._pmap = device_map == "pmap"
        self._split_tables = table_sharding == "rows"
        self.num_ids = vocab_size

    @property
    def axis_name(self) -> str | None:
        """The `axis_name` that `make_train_step` needs here."""
        return BATCH_AXIS if self._pmap else None

    @property
    def table_rows(self) -> int:
        """Rows of a table on the devices: `num_ids`, or rounded up to split evenly."""
        count = len(self._devices)
        return -(-self.num_ids // count) * count if self._split_tables else self.num_ids

    @property
    def host_finds_rows(self) -> bool:
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
        if batch_size % len(self._devices):
            raise InputError(
                f"batch_size must be a multiple of the number of devices, {len(self._devices)}; found {batch_size}."
            )

    def create_state(
        self,
        model: nn.Module,
        tx: optax.GradientTransformation,
        features: Features,
        key: jax.Array,
    ) -> TrainState:
        """`state.create`, compiled, on the devices; the same numbers in any layout."""

        def create(features, key):
            return self._lay_out(states.create(model, tx, features, key))

        abstract = jax.eval_shape(create, features, key)
        make = jax.jit(create, out_shardings=self._state_shardings(abstract))
        state = make(features, key)
        return self._replicate(state) if self._pmap else state

    def place_state(self, state: TrainState) -> TrainState:
        """A state of host arrays, as `gather_state` gives it, on the devices."""
        if self._pmap:
            return self._replicate(state)
        # A copy: the CPU backend may share the buffer, which the step then overwrites.
        laid_out = jax.tree.map(np.array, self._lay_out(state))
        return jax.device_put(laid_out, self._state_shardings(laid_out))

    def gather_state(self, state: TrainState) -> TrainState:
        """A copy of the state in host memory (NumPy), the same whatever the layout."""

        def gather(path, leaf):
            array = np.array(leaf[0] if self._pmap else leaf)
            return array[: self.num_ids] if states.is_table(path) else array

        gathered = states.split_narrow(jax.tree_util.tree_map_with_path(gather, state))
        return jax.tree.map(lambda array: np.asarray(array, order="C"), gathered)

    def place_batch(self, batch: Batch) -> Batch:
        """A batch of host arrays, split over the devices.

        For one CPU it stays as it is: a compiled call takes host arrays at less cost
        than that of placing them before.
        """
        if self._pmap:
            count = len(self._devices)
            split = jax.tree.map(
                lambda a: a.reshape(count, len(a) // count, *a.shape[1:]),
                batch._replace(rows=None),
            )
            return split._replace(rows=batch.rows)
        if len(self._devices) == 1 and self._devices[0].platform == "cpu":
            return batch
        return jax.device_put(batch, self._batch_shardings(batch))

    def place_stack(self, batches: Batch) -> Stack:
        """Stacked batches of host arrays, as `place_batch` places one; no 'pmap'."""
        if len(self._devices) > 1 or self._devices[0].platform != "cpu":
            batches = jax.device_put(batches, self._batch_shardings(batches, None))
        return Stack(batches)

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
            step: of `make_train_step(..., axis_name=self.axis_name)`, for a model over
                `self.table_rows` ids.
            state: a state on these devices, for its shapes.
        """
        if not self._pmap:
            shardings = (self._state_shardings(state), None)
            traced = self._on_mesh(step)
            compiled = jax.jit(traced, donate_argnums=0, out_shardings=shardings)
            return self._one_at_a_time(compiled)
        batch_axes = Batch(features=0, labels=0, weights=0, rows=None)  # type: ignore[arg-type]
        mapped = jax.pmap(step, BATCH_AXIS, in_axes=(0, batch_axes), donate_argnums=0)

        def first_metrics(state, batch):
            state, metrics = mapped(state, batch)
            return state, jax.tree.map(lambda metric: metric[0], metrics)

        return self._one_at_a_time(first_metrics)

    def compile_train_steps(self, step: Step, state: TrainState) -> Steps:
        """As `compile_train_step`, many steps in one call; see `make_train_steps`."""

        def place(batch):
            shardings = self._batch_shardings(batch)
            return jax.lax.with_sharding_constraint(batch, shardings)

        shardings = (self._state_shardings(state), None)
        traced = self._on_mesh(make_train_steps(step, place))
        compiled = jax.jit(traced, donate_argnums=0, out_shardings=shardings)
        return self._one_at_a_time(compiled)

    def compile_predict(
        self, predict: Callable[[Any, Features], jax.Array]
    ) -> Callable[[Any, Batch], jax.Array]:
        """The compiled prediction: (variables, batch) on these devices -> logits [B]."""
        compiled = jax.pmap(predict) if self._pmap else jax.jit(self._on_mesh(predict))

        def logits(variables, batch):
            return compiled(variables, batch.features).reshape(-1)

        return self._one_at_a_time(logits)

    def _on_mesh(self, function: Callable[..., T]) -> Callable[..., T]:
        """Says while the function is traced which devices share a batch."""

        @functools.wraps(function)
        def traced(*arguments):
            with jax.sharding.use_abstract_mesh(self._mesh.abstract_mesh):
                return function(*arguments)

        return traced

    def _one_at_a_time(self, compiled: Callable[..., T]) -> Callable[..., T]:
        """Waits for every call, if the devices are the CPU pretending to be several.

        They share one pool of threads: with two calls under way, each may hold threads
        that the other's all-reduce waits for, and XLA ends the process.
        """
        if len(self._devices) == 1 or self._devices[0].platform != "cpu":
            return compiled
        return lambda *arguments: jax.block_until_ready(compiled(*arguments))

    def _batch_shardings(self, batch: Batch, *leading: None) -> Batch:
        """Every array split by the rows of its batch, after further leading axes."""
        split = self._sharding(*leading, BATCH_AXIS)
        shardings = jax.tree.map(lambda _: split, batch)
        whole = None if batch.rows is None else self._sharding()
        return shardings._replace(rows=whole)

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self._mesh, P(*axes))

    def _state_shardings(self, state: T) -> T:
        split, whole = self._sharding(BATCH_AXIS), self._sharding()

        def choose(path, _):
            return split if self._split_tables and states.is_table(path) else whole

        return jax.tree_util.tree_map_with_path(choose, state)

    def _lay_out(self, state: TrainState) -> TrainState:
        """The state as it is on the devices, before it is split or replicated.

        Narrow tables are joined for row updates; dense ones pay some per cent for it.
        """
        missing = self.table_rows - self.num_ids

        def pad(path, leaf):
            if not missing or not states.is_table(path):
                return leaf
            return jnp.pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))

        padded = jax.tree_util.tree_map_with_path(pad, state)
        return padded if self._pmap else states.join_narrow(padded)

    def _replicate(self, state: T) -> T:
        count = len(self._devices)
        stacked = jax.tree.map(
            lambda a: np.broadcast_to(np.asarray(a), (count, *np.shape(a))), state
        )
        return jax.device_put(stacked, self._sharding(BATCH_AXIS))
