"""Times that can be compared although the machine is not quiet.

Cases are timed in turn, A B C A B C ..., so that what slows the machine for a while
slows all of them, and ratios are taken within a turn.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Work = Callable[[int], None]
"""Does its work that many times and waits until it is done."""


def interleaved(
    works: Mapping[str, Work], *, windows: int, seconds: float
) -> dict[str, np.ndarray]:
    """Times each work in every turn.

    A work is first done twice, untimed, so that what is done once (compilation) is
    done; how often it fits into a window is found then.

    Args:
        works: by name, in the order of the turns.
        windows: number of turns.
        seconds: length of a window; a work that takes longer is done once.

    Returns:
        For each name float64 [windows], seconds of one repetition.
    """
    repeats = {}
    for name, work in works.items():
        work(1)
        once = _seconds(work, 1)
        repeats[name] = max(1, math.ceil(seconds / max(once, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(windows):
        for name, work in works.items():
            times[name].append(_seconds(work, repeats[name]) / repeats[name])
    return {name: np.array(values) for name, values in times.items()}


def spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Median and quartiles of one number over the windows, to four digits."""
    low, median, high = (
        float(f"{value:.4g}") for value in np.quantile(values, (0.25, 0.5, 0.75))
    )
    return {"median": median, "low": low, "high": high}


def _seconds(work: Work, repeats: int) -> float:
    start = time.perf_counter()
    work(repeats)
    return time.perf_counter() - start
