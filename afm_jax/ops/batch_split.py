"""Rows of a batch on several devices, for what XLA cannot split by itself.

XLA splits most operations over the devices of a mesh. It does not split a loop over
blocks of rows, nor a kernel: it gathers the whole batch on every device, and each of them
computes everything.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

T = TypeVar("T", bound=Callable[..., Any])

BATCH_AXIS = "data"
"""The axis of a mesh over which the rows of a batch are split."""


def num_parts() -> int:
    """How many devices share a batch; 1 if nobody says so.

    `jax.sharding.use_abstract_mesh`, under which `training.devices` traces, says it by a
    mesh with the axis `BATCH_AXIS`. Within `jax.shard_map` and `jax.pmap` the batch is
    split already.
    """
    mesh = jax.sharding.get_abstract_mesh()
    axes = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    if axes.get(BATCH_AXIS) is not AxisType.Auto:
        return 1
    return mesh.shape[BATCH_AXIS]


def by_rows(function: T, num_rows: int, *, whole: tuple[int, ...] = ()) -> T:
    """The function, with each device of the batch computing its own rows.

    Args:
        function: (arguments) -> array [num_rows, ...], in which a row depends on no other
            row. Its arguments are trees of arrays [num_rows, ...].
        num_rows: rows of the batch. If the devices cannot share them evenly, each
            computes all of them.
        whole: which arguments are the same for all rows.

    Returns:
        A function of the same arguments with the same values and gradients.
    """
    parts = num_parts()
    if parts == 1 or num_rows % parts:
        return function
    rows = P(BATCH_AXIS)

    def split(*arguments: Any) -> Any:
        specs = tuple(P() if i in whole else rows for i in range(len(arguments)))
        # No check of what is the same on all devices: a kernel does not say it.
        return jax.shard_map(function, in_specs=specs, out_specs=rows, check_vma=False)(
            *arguments
        )

    return split  # type: ignore[return-value]
