"""Stdout and stderr of a program: closed, full, or with nobody left to read them."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

from afm_jax.errors import InputError


def check_stdout() -> None:
    """Raises InputError if the program was started with stdout closed."""
    if sys.stdout is None:
        raise InputError(
            "stdout is closed, so that the result could not be told; leave it open, or send it to /dev/null."
        )


def tell(text: str) -> None:
    """Prints a line to stdout.

    Raises:
        OSError: it cannot be written; nothing will be any more.
    """
    try:
        print(text, flush=True)
    except OSError:
        _give_up_stdout()
        raise


@contextlib.contextmanager
def binary_stdout() -> Iterator[BinaryIO]:
    """Stdout for bytes.

    Raises:
        OSError: it cannot be written; names stdout, and nothing will be any more.
    """
    try:
        yield sys.stdout.buffer
        sys.stdout.flush()
    except OSError as error:
        _give_up_stdout()
        raise OSError(error.errno, error.strerror, "stdout") from None


def _give_up_stdout() -> None:
    # Python empties its buffer when it ends, which would fail once more.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def patient_stderr() -> Iterator[None]:
    """Within, stderr takes whatever it is given: what cannot be written is dropped.

    It may be closed, on a full disk, a pipe without a reader or a terminal that is
    gone. None of these is a reason to stop a job.
    """
    with contextlib.ExitStack() as stack:
        stream = sys.stderr
        if stream is None:
            stream = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stderr(_Patient(stream)))
        yield


class _Patient:
    """A text stream whose writing does not fail; all else is as the stream has it."""

    def __init__(self, stream: Any):
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
