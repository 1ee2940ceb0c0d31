"""Programs as processes, watched from outside."""

import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from afm_jax.errors import InputError

_SECONDS_BETWEEN_LOOKS = 0.05


class Finished(NamedTuple):
    """How a program went.

    Attributes:
        result: its last line of stdout.
        seconds: from its start to its end.
        peak_rss_mb: the most memory it held, in MiB, seen every 50 ms; None where
            the kernel has no /proc.
    """

    result: str
    seconds: float
    peak_rss_mb: int | None


def run(
    *arguments: str, on_stderr: Callable[[str], None] = lambda line: None
) -> Finished:
    """Runs `python -m <arguments>` to its end.

    Args:
        *arguments: module and flags.
        on_stderr: called with each line of stderr as it comes.

    Raises:
        InputError: its exit code was not 0; with its last words.
    """
    start = time.perf_counter()
    peaks: list[int] = []
    out: list[str] = []
    words = ""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        threads = [
            threading.Thread(target=_watch, args=(process, peaks)),
            threading.Thread(target=lambda: out.extend(process.stdout or ())),
        ]
        for thread in threads:
            thread.start()
        for line in process.stderr or ():
            on_stderr(line)
            words = line.strip() or words
        code = process.wait()
        seconds = time.perf_counter() - start
        for thread in threads:
            thread.join()
    if code:
        raise InputError(f"python -m {' '.join(arguments)} ended with {code}: {words}")
    return Finished(out[-1] if out else "", seconds, max(peaks, default=None))


def peak_rss_mb(pid: int) -> int | None:
    """The most memory that a process has held, in MiB; None where there is no /proc.

    What rusage says of a child counts its parent's memory, from before it became a
    program of its own; so the child is looked at while it lives.
    """
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    peaks = [int(line.split()[1]) >> 10 for line in lines if "VmHWM" in line]
    return peaks[0] if peaks else None


def _watch(process: subprocess.Popen[str], peaks: list[int]) -> None:
    while process.poll() is None:
        peak = peak_rss_mb(process.pid)
        if peak is not None:
            peaks.append(peak)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
