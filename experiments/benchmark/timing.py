"""Times that can be compared although the machine is not quiet.

Cases are timed in turn, A B C A B C ..., so that what slows the machine for a while
slows all of them, and ratios are taken within a turn. Beside the time that passes, the time
that processors spend on this process is taken: it hardly changes when others use them.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")

Work = Callable[[int], None]
"""Does its work that many times and waits until it is done."""


class Turns(NamedTuple):
    """How often cases take turns, and how long a turn of each is.

    Attributes:
        windows: number of turns.
        seconds: length of a window, what a case does in its turn; a work that takes
            longer is done once.
    """

    windows: int = 7
    seconds: float = 0.5


TURNS = Turns()


class Times(NamedTuple):
    """How long one repetition took in each window.

    Attributes:
        seconds: float64 [windows], time that passed.
        processor_seconds: float64 [windows], time on processors, of all threads
            together.
    """

    seconds: np.ndarray
    processor_seconds: np.ndarray


def interleaved(
    works: Mapping[T, Work],
    turns: Turns,
    *,
    units: Mapping[T, int] = MappingProxyType({}),
) -> dict[T, Times]:
    """Times each work in every turn.

    A work is first done twice, untimed, so that what is done once (compilation) is
    done; how often it fits into a window is found then.

    Args:
        works: by name, in the order of the turns.
        turns: how many, and how long.
        units: by name, a number that the repetitions in a window are a multiple of; 1
            where there is none.

    Returns:
        For each name its times.
    """
    repeats = {}
    for name, work in works.items():
        unit = units.get(name, 1)
        work(unit)
        once, _ = _time(work, unit)
        repeats[name] = unit * max(1, math.ceil(turns.seconds / max(unit * once, 1e-9)))
    times: dict[T, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(turns.windows):
        for name, work in works.items():
            times[name].append(_time(work, repeats[name]))
    return {name: Times(*np.transpose(pairs)) for name, pairs in times.items()}


def spread(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Median and quartiles of one number over the windows, to four digits."""
    low, median, high = (
        float(f"{value:.4g}") for value in np.quantile(values, (0.25, 0.5, 0.75))
    )
    return {"median": median, "low": low, "high": high}


def _time(work: Work, repeats: int) -> tuple[float, float]:
    """Seconds, and processor seconds, of one repetition."""
    start, on_processors = time.perf_counter(), time.process_time()
    work(repeats)
    return (
        (time.perf_counter() - start) / repeats,
        (time.process_time() - on_processors) / repeats,
    )
