"""How a state lies on devices, and how it comes there and back."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afm_jax.features import Array, Features
from afm_jax.ops.batch_split import BATCH_AXIS
from afm_jax.training import state as states
from afm_jax.training.compilations import Compilations
from afm_jax.training.state import TrainState

T = TypeVar("T")


class StateLayout:
    """Places states on devices; `devices.Devices` is this and computes with them.

    A state is on every device, but its tables can be split by table rows. Scalar tables
    are joined (`state.join_scalar_tables`), except under `jax.pmap`.

    Attributes:
        num_ids: number of feature ids, the rows of a table outside of this class.
        count: number of devices.
        compilations: what was compiled here so far.
    """

    def __init__(
        self,
        num_ids: int,
        devices: Sequence[jax.Device],
        *,
        pmap: bool,
        split_tables: bool,
    ):
        self._devices, self._pmap, self._split_tables = devices, pmap, split_tables
        # Explicit axes, the default, refuse look-ups with split ids.
        self._mesh = jax.make_mesh(
            (len(devices),), (BATCH_AXIS,), axis_types=(AxisType.Auto,), devices=devices
        )
        self.num_ids = num_ids
        self.count = len(devices)
        self.compilations = Compilations()

    @property
    def num_table_rows(self) -> int:
        """Rows of a table on the devices: `num_ids`, or rounded up to split evenly."""
        count = self.count
        return -(-self.num_ids // count) * count if self._split_tables else self.num_ids

    def create_state(
        self,
        model: nn.Module,
        tx: optax.GradientTransformation,
        features: Features,
        key: jax.Array,
        *,
        base_logit: float = 0.0,
        catches_up: bool = False,
    ) -> TrainState:
        """`state.create`, compiled, on the devices; the same numbers in any layout."""

        def create(features, key, base_logit):
            state = states.create(
                model, tx, features, key, base_logit=base_logit, catches_up=catches_up
            )
            return self._lay_out(state)

        abstract = jax.eval_shape(create, features, key, base_logit)
        shardings = self._state_shardings(abstract)
        make = self._ready(jax.jit(create, out_shardings=shardings))
        state = make(features, key, base_logit)
        return self._replicate(state) if self._pmap else state

    def place_state(self, state: TrainState) -> TrainState:
        """A state of host arrays, as `gather_state` gives it, on the devices."""
        placed = jax.tree_util.tree_map_with_path(self.place_leaf, state)
        return self.join_placed(placed)

    def place_leaf(self, path: tuple[Any, ...], leaf: Array) -> Array:
        """One leaf of a state, for `join_placed`, when all are there.

        So the host never holds a whole state that it reads leaf by leaf.

        Args:
            path: of the leaf in the state.
            leaf: as `gather_state` gives it.
        """
        # A copy: the CPU backend may share the buffer, which the step then overwrites.
        copied = np.array(self._padded(path, leaf))
        if self._pmap:
            return self._replicate(copied)
        if states.is_scalar_table(path, copied):
            return copied  # to be joined with others
        return jax.device_put(copied, self._leaf_sharding(path))

    def place_replicated(self, arrays: T) -> T:
        """Small arrays of the host, whole on every device, as leaves of a state are."""
        if self._pmap:
            return self._replicate(arrays)
        return jax.device_put(arrays, self._sharding())

    def join_placed(self, state: TrainState) -> TrainState:
        """The state on the devices, whose leaves are what `place_leaf` gave."""
        if self._pmap:
            return state
        joined = states.join_scalar_tables(state)
        return jax.device_put(joined, self._state_shardings(joined))

    def gather_state(self, state: TrainState) -> TrainState:
        """A copy of the state in host memory (NumPy), the same whatever the layout."""
        return jax.tree.map(lambda a: np.array(a, order="C"), self.view_state(state))

    def view_state(self, state: TrainState) -> TrainState:
        """`gather_state` without the copy, where the devices' memory is the host's.

        Its numbers are of use until the next step.
        """

        def view(path, leaf):
            array = np.asarray(leaf[0] if self._pmap else leaf)
            return array[: self.num_ids] if states.is_table(path) else array

        state = state._replace(missed=None)
        return states.split_scalar_tables(jax.tree_util.tree_map_with_path(view, state))

    def _ready(self, function: Any) -> Callable[..., Any]:
        """What `jax.jit` or `jax.pmap` gave, compiled ahead, each call run `_alone`."""
        ahead = self.compilations.ahead(function)
        if not self._share_threads:
            return ahead
        return lambda *arguments: self._alone(ahead(*arguments))

    @property
    def _share_threads(self) -> bool:
        """Whether the devices are the CPU pretending to be several."""
        return self.count > 1 and self._devices[0].platform == "cpu"

    def _alone(self, results: T) -> T:
        """Waits for results, if the devices share one pool of threads.

        With two calls under way, each may hold threads that the other's all-reduce
        waits for, and XLA ends the process.
        """
        return jax.block_until_ready(results) if self._share_threads else results

    def _sharding(self, *axes: str | None) -> NamedSharding:
        return NamedSharding(self._mesh, P(*axes))

    def _leaf_sharding(self, path: tuple[Any, ...]) -> NamedSharding:
        split = self._split_tables and states.is_table(path)
        return self._sharding(BATCH_AXIS) if split else self._sharding()

    def _state_shardings(self, state: T) -> T:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: self._leaf_sharding(path), state
        )

    def _lay_out(self, state: TrainState) -> TrainState:
        """The state as it is on the devices, before it is split or replicated.

        Scalar tables are joined for row updates; dense ones pay some per cent for it.
        """
        padded = jax.tree_util.tree_map_with_path(self._padded, state)
        return padded if self._pmap else states.join_scalar_tables(padded)

    def _padded(self, path: tuple[Any, ...], leaf: Array) -> Array:
        """A leaf with as many rows as tables have on the devices, if it is one."""
        missing = self.num_table_rows - leaf.shape[0] if states.is_table(path) else 0
        if not missing:
            return leaf
        pad = jnp.pad if isinstance(leaf, jax.Array) else np.pad
        return pad(leaf, [(0, missing)] + [(0, 0)] * (leaf.ndim - 1))

    def _replicate(self, state: T) -> T:
        count = self.count
        stacked = jax.tree.map(
            lambda a: np.broadcast_to(np.asarray(a), (count, *np.shape(a))), state
        )
        return jax.device_put(stacked, self._sharding(BATCH_AXIS))
