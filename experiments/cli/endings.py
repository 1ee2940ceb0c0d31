"""A program ends when its job is done or has failed, whatever libraries leave behind."""

import functools
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

P = ParamSpec("P")
Main = Callable[[], Mapping[str, Any] | None]

SECONDS = 5.0
"""How long Python may take to end the process in its own way."""

_FAILED = 1  # what Python says of an exception that nobody catches

_log = logging.getLogger(__name__)


def prompt(
    run: Callable[Concatenate[Main, P], int],
) -> Callable[Concatenate[Main, P], int]:
    """Makes the process end soon after `run` does, if `main` is a program of its own.

    Python waits for every thread that is no daemon. One of a library that waits for what
    will not come any more, say for a folder that could not be made, would keep a process
    that has failed. And errors in such threads, or while objects are deleted, would be
    told as tracebacks beside the one line that matters.

    Args:
        run: (main, ...) -> exit code.
    """

    @functools.wraps(run)
    def ending(main: Main, *args: P.args, **kwargs: P.kwargs) -> int:
        if main.__module__ != "__main__":
            return run(main, *args, **kwargs)
        threading.excepthook = lambda error: _note(error.exc_value)
        sys.unraisablehook = lambda error: _note(error.exc_value)
        warnings.filterwarnings("ignore", "coroutine .* was never awaited")
        code = _FAILED
        try:
            code = run(main, *args, **kwargs)
            return code
        finally:
            threading.Thread(target=_end, args=(code,), daemon=True).start()

    return ending


def _note(error: BaseException | None) -> None:
    _log.debug("Beside the program: %r", error)


def _end(code: int) -> None:
    time.sleep(SECONDS)
    os._exit(code)
