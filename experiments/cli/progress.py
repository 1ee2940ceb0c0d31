"""How far a program is: a bar on a terminal, else lines in the log."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from rich import console as rich_console
from rich import progress as rich_progress

from afm_jax.data.progress import Advance

_SECONDS_BETWEEN_LINES = 10.0

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def show_progress(
    description: str, total: float, unit: str = "rows"
) -> Iterator[Callable[..., None]]:
    """Shows how far a loop is: a bar on a terminal, else a log line every 10 seconds.

    Yields:
        `advance(amount, note="")`: adds to what is done; the note, such as the loss, is
        shown beside it. May be called from one thread at a time.
    """
    if not sys.stderr.isatty():
        yield _log_lines(description, total, unit)
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.fields[rate]}"),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn("{task.fields[note]}"),
    )
    # redirect_stdout: text on stdout is for scripts and must not join the bar's stream.
    with rich_progress.Progress(
        *columns, console=rich_console.Console(stderr=True), redirect_stdout=False
    ) as bar:
        task = bar.add_task(description, total=total, rate="", note="")

        def advance(amount: float, note: str = "") -> None:
            speed = bar.tasks[task].speed
            rate = f"{speed:,.0f} {unit}/s" if speed else ""
            bar.update(task, advance=amount, rate=rate, note=note)

        yield advance


def _log_lines(description: str, total: float, unit: str) -> Callable[..., None]:
    said, done = time.monotonic(), 0.0
    first: tuple[float, float] | None = None

    def advance(amount: float, note: str = "") -> None:
        nonlocal done, first, said
        done += amount
        now = time.monotonic()
        if first is None:  # What took until here, compilation say, is not the rate.
            first, said = (now, done), now
        elif now - said >= _SECONDS_BETWEEN_LINES:
            said = now
            rate = (done - first[1]) / (now - first[0])
            left = max(0.0, total - done) / rate if rate else 0.0
            _log.info(
                "%s: %.0f%%, %s %s/s, %.0f s left %s",
                description,
                100 * done / total if total else 100.0,
                f"{rate:,.0f}",
                unit,
                left,
                note,
            )

    return advance


@contextlib.contextmanager
def show_stages() -> Iterator[Advance]:
    """Shows pieces of work that follow each other, each as `show_progress` does.

    Yields:
        What `afm_jax.data` takes to tell how far it is.
    """
    current, advance = "", None
    with contextlib.ExitStack() as stack:

        def told(what: str, amount: float, total: float, unit: str) -> None:
            nonlocal current, advance
            if advance is None or what != current:
                stack.close()
                current = what
                advance = stack.enter_context(show_progress(what, total, unit))
            advance(amount)

        yield told
