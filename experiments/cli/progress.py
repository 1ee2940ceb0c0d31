"""How far a program is: a bar on a terminal, else lines in the log."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from rich import console as rich_console
from rich import progress as rich_progress

from afm_jax.data.progress import Advance
from experiments.cli import words

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_OF_GUESSES = 1.0

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
    pace = _Pace(total, unit)
    if not sys.stderr.isatty():
        yield _log_lines(description, pace)
        return
    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(bar_width=20),
        rich_progress.TaskProgressColumn(),
        rich_progress.TextColumn("{task.fields[told]}"),
    )
    # redirect_stdout: text on stdout is for scripts and must not join the bar's stream.
    with rich_progress.Progress(
        *columns, console=rich_console.Console(stderr=True), redirect_stdout=False
    ) as bar:
        task = bar.add_task(description, total=total, told="")

        def advance(amount: float, note: str = "") -> None:
            told = pace.advance(amount)
            bar.update(task, advance=amount, told=", ".join(filter(None, (told, note))))

        yield advance


class _Pace:
    """How fast a loop is, and how long it has to go.

    Attributes:
        done: what is done.
        total: what is to be done.
        now: when something was done last; at first, when the loop began.
    """

    def __init__(self, total: float, unit: str):
        self.total, self._unit = total, unit
        self.done, self.now = 0.0, time.monotonic()
        self._first: tuple[float, float] | None = None

    def advance(self, amount: float) -> str:
        """Adds what was done; rate and time left, '' as long as these are guesses.

        What the first call took, compilation say, is not the rate. Calls that return
        before the work is done make the rate of the next moment too high.
        """
        self.done += amount
        self.now = time.monotonic()
        if self._first is None:
            self._first = self.now, self.done
        seconds = self.now - self._first[0]
        if seconds < _SECONDS_OF_GUESSES:
            return ""
        rate = (self.done - self._first[1]) / seconds
        left = max(0.0, self.total - self.done) / rate if rate else 0.0
        return f"{rate:,.0f} {self._unit}/s, {words.duration(left)} left"


def _log_lines(description: str, pace: _Pace) -> Callable[..., None]:
    said = 0.0

    def advance(amount: float, note: str = "") -> None:
        nonlocal said
        told = pace.advance(amount)
        if not told:
            said = pace.now
        elif pace.now - said >= _SECONDS_BETWEEN_LINES:
            said = pace.now
            share = pace.done / pace.total if pace.total else 1.0
            beside = f", {note}" if note else ""
            _log.info("%s: %.0f%%, %s%s", description, 100 * share, told, beside)

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
