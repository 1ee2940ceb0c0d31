"""Metrics of ranked and of probabilistic predictions, in float64 NumPy on the host.

Every function takes arrays of one row per entry, [N], and optional weights [N] >= 0
(None: all ones); every mean is sum(x w) / sum(w).

A new metric is a file of this folder: a function, and an entry of the file's `METRICS`.
Evaluation, the choice of the best epoch, comparisons and plots read the entries.
"""

import importlib
import pkgutil

from afm_jax.ops.metrics.discrimination import (
    auc,
    gauc,
    gauc_coverage,
    rank,
    weighted_auc,
)
from afm_jax.ops.metrics.metric import Metric, Predicted
from afm_jax.ops.metrics.probability import calibration, log_loss, mae, rmse

__all__ = [
    "DIRECTIONS",
    "METRICS",
    "Metric",
    "Predicted",
    "auc",
    "calibration",
    "gauc",
    "gauc_coverage",
    "log_loss",
    "mae",
    "rank",
    "rmse",
    "weighted_auc",
]


def _found() -> dict[str, Metric]:
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {
        metric.name: metric
        for name in modules
        for metric in getattr(
            importlib.import_module(f"{__name__}.{name}"), "METRICS", ()
        )
    }


METRICS = _found()
"""Every metric by name, in the order of results."""

DIRECTIONS = {each.name: each.direction for each in METRICS.values() if each.direction}
"""The metrics that tell which of two models is better; 1 where more is better, -1 where
less is."""
