"""What Ctrl-C, SIGTERM and SIGHUP do to a program."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MOMENT = 0.01  # seconds


@contextlib.contextmanager
def delivered() -> Iterator[None]:
    """Within, Ctrl-C raises KeyboardInterrupt in the main thread and is never lost.

    Python drops what is raised in a callback of its garbage collector, of which jax has
    one, in a `__del__` or in a function that C calls. A Ctrl-C that is dropped so is
    sent again a moment later, as often as it takes.
    """
    hook, handler = sys.unraisablehook, signal.getsignal(signal.SIGINT)

    def send_again(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            hook(dropped)
            return
        main = threading.main_thread().ident
        again = threading.Timer(_MOMENT, signal.pthread_kill, (main, signal.SIGINT))
        again.daemon = True
        again.start()

    sys.unraisablehook = send_again
    if handler not in (signal.SIG_IGN, None):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if handler is not None:
            signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event set by the first SIGTERM, SIGINT or SIGHUP; the second acts as always.

    A signal that is ignored when this begins, such as SIGHUP under nohup, stays so.
    """
    stop = threading.Event()
    before = {kind: signal.getsignal(kind) for kind in _STOPPING}
    heard = {
        kind: handler
        for kind, handler in before.items()
        if handler not in (signal.SIG_IGN, None)
    }

    def request(number, frame):
        del frame
        stop.set()
        signal.signal(number, heard[number])

    for kind in heard:
        signal.signal(kind, request)
    try:
        yield stop
    finally:
        for kind, handler in heard.items():
            signal.signal(kind, handler)
