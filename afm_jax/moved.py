"""Modules that version 0.2.0 moved: importing one by its old name says where it is.

To be removed in version 0.3.0.
"""

import importlib.abc
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

MOVED = {
    "afm_jax.ops.compressed": "afm_jax.ops.cin",
    "afm_jax.ops.fusion": "afm_jax.ops.bilinear_fusion",
    "afm_jax.ops.logarithmic": "afm_jax.ops.log_neurons",
    "afm_jax.training.epochs": "afm_jax.training.trainer",
    "afm_jax.training.parallel": "afm_jax.training.devices",
    "afm_jax.training.records": "afm_jax.training.metrics_log",
    "afm_jax.training.rows": "afm_jax.training.table_rows",
    "afm_jax.training.updates": "afm_jax.training.feed",
}
"""The new name of each moved module of this package, by its old one."""


class _Finder(importlib.abc.MetaPathFinder):
    """Asked by Python's import where no other finder knows a module."""

    def __init__(self, table: Mapping[str, str]):
        self._table = table

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> None:
        new = self._table.get(fullname)
        if new is None:
            return
        # No ModuleNotFoundError, which `from package import name` drops.
        raise ImportError(
            f"{fullname} was moved in afm_jax 0.2.0; import {new} instead.",
            name=fullname,
        )


def install(table: Mapping[str, str]) -> None:
    """Makes Python look into the table, after all else, in this process.

    Args:
        table: the new name of each moved module or function, by its old one.
    """
    sys.meta_path.append(_Finder(table))
