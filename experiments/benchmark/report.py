"""What a benchmark says: the machine, the cases as a table, all of it as JSON."""

import importlib.metadata
import os
import pathlib
import platform
import resource
from collections.abc import Mapping, Sequence
from typing import Any

import jax

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")

Cases = Sequence[Mapping[str, Any]]


def machine() -> dict[str, Any]:
    """Processor, cores, device, versions and load (of the last 1, 5, 15 minutes)."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def peak_rss_mb() -> int:
    """The most memory that this process ever held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def table(cases: Cases) -> str:
    """The cases in columns, a column for each key; a spread as median (low-high)."""
    columns = list(dict.fromkeys(name for case in cases for name in case))
    cells = [[_cell(case.get(name)) for name in columns] for case in cases]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in [columns, *cells]
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        median, low, high = (
            _cell(value[name]).strip() for name in ("median", "low", "high")
        )
        return f"{median} ({low}-{high})"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor()
