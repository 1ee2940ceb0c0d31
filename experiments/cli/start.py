"""The first thing that a program does, before it imports anything that takes time."""

import os
import signal
import sys

INTERRUPTED = 130


def prepare() -> None:
    """Makes `python -m data.x` and `python -m experiments.x` fit for what may come.

    Until `program.run` takes over, which imports delay by seconds, Ctrl-C ends the
    program with one line. Where stdin, stdout or stderr is closed, no file that is
    opened later takes its place, to be written into by whoever prints.

    Does nothing in a process that only uses these packages.
    """
    if not _is_program():
        return
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    # Where Ctrl-C is ignored, as in a script's background, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def _is_program() -> bool:
    """Whether the package that is imported is that of the module behind `-m`."""
    # Python puts the module's path here once it has found it.
    if sys.argv[:1] != ["-m"]:
        return False
    module = sys.orig_argv[-len(sys.argv)].removeprefix("-m")
    return module.split(".")[0] in ("data", "experiments")


def _end(number, frame):
    del number, frame
    try:
        os.write(2, b"Interrupted.\n")
    finally:
        os._exit(INTERRUPTED)
