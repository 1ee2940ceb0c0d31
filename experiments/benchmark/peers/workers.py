"""Workers, from outside: processes that do their works on command."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Self

from afm_jax.errors import InputError
from experiments.benchmark import processes, timing
from experiments.benchmark.peers import protocol

_SECONDS_TO_END = 10


class Worker:
    """A process that runs `protocol.serve`; made, it is ready."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] = {}):
        """Starts it and waits until it is ready.

        Args:
            command: program and arguments.
            environment: variables in addition to this process's.

        Raises:
            InputError: it ended instead; with its last words.
        """
        self._words, self._command = "", tuple(command)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            self._expect(protocol.READY)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def work(self, name: str) -> timing.Work:
        """A work of it, to be called with the count.

        A call raises InputError if the worker ends, with its last words.
        """
        return lambda count: self._do(name, count)

    def peak_rss_mb(self) -> int | None:
        """As `processes.peak_rss_mb`, so far."""
        return processes.peak_rss_mb(self._process.pid)

    def close(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            # Not when it did not live to read its last command.
            with contextlib.suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()

    def _do(self, name: str, count: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # its end is told below
            print(name, count, file=self._process.stdin, flush=True)
        self._expect(protocol.DONE)

    def _expect(self, answer: str) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line == answer:
            return
        try:
            code = self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # it does not keep to the protocol
            self._process.kill()
            code = self._process.wait()
        self._listener.join()
        raise InputError(
            f"{' '.join(self._command[:3])} ended with {code}: {self._words or 'no word'}"
        )

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._words = line.strip() or self._words
