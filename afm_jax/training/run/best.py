"""Which evaluation, and so which checkpoint, is the best: the first of equals."""

import math
from collections.abc import Iterable, Mapping

from afm_jax.ops import metrics

Metrics = Mapping[str, float | None]


def measured(monitor: str, found: Metrics | None) -> float | None:
    """The monitored metric; None if it was not measured, or is NaN or infinite."""
    value = (found or {}).get(monitor)
    return value if value is not None and math.isfinite(value) else None


def is_better(monitor: str, value: float, best: float | None) -> bool:
    """Whether a value of the metric is a new best; one that equals the best is not."""
    sign = metrics.DIRECTIONS[monitor]
    return best is None or sign * value > sign * best


class Best:
    """Which of several steps has the best metric."""

    def __init__(self, monitor: str):
        self._monitor = monitor
        self._values: dict[int, float] = {}

    def note(self, step: int, found: Metrics | None) -> None:
        """Takes the metrics of a step down."""
        value = measured(self._monitor, found)
        if value is not None:
            self._values[step] = value

    def step_of(self, steps: Iterable[int]) -> int | None:
        """The best of these steps, the first of equals; None if none has the metric."""
        best: int | None = None
        for step in sorted(self._values.keys() & set(steps)):
            value = self._values[step]
            if best is None or is_better(self._monitor, value, self._values[best]):
                best = step
        return best
