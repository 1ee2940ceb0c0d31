"""Which evaluation, and so which checkpoint, is the best."""

import math
from collections.abc import Iterable, Mapping

from afm_jax.ops import metrics


class Best:
    """Which of several steps has the best metric."""

    def __init__(self, monitor: str):
        self._monitor, self._sign = monitor, metrics.DIRECTIONS[monitor]
        self._scores: dict[int, float] = {}

    def note(self, step: int, found: Mapping[str, float | None] | None) -> None:
        """Takes the metrics of a step down; None, or NaN, does not count."""
        value = (found or {}).get(self._monitor)
        if value is not None and math.isfinite(value):
            self._scores[step] = self._sign * value

    def step_of(self, steps: Iterable[int]) -> int | None:
        """The best of these steps, the newest of equals; None if none has the metric."""
        scored = [(self._scores[step], step) for step in steps if step in self._scores]
        return max(scored)[1] if scored else None
