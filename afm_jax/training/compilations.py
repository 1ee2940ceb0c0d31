"""Compiles a function before it is called with arguments of new shapes, and counts that."""

import logging
import time
from collections.abc import Callable
from typing import Any

import jax

_log = logging.getLogger(__name__)

_FROM_CACHE = "/jax/compilation_cache/cache_hits"


class Compilations:
    """The programs that were made ready for a device, and the time that this took.

    What is to be timed without compilation takes `seconds` before and after it.

    Attributes:
        count: how many.
        cached: how many of them jax had kept on disk from an earlier process.
        seconds: for all of them, tracing included.
    """

    def __init__(self) -> None:
        self.count = self.cached = 0
        self.seconds = 0.0
        self._logged = 0, 0, 0.0

    def ahead(self, function: Any) -> Callable[..., Any]:
        """The same function; a call with arguments of new shapes compiles it first.

        Args:
            function: of `jax.jit` or `jax.pmap`; dtypes and shardings of its arguments
                are always the same. Its `lower` is kept.
        """
        known = set()

        def call(*arguments: Any) -> Any:
            leaves = jax.tree.leaves(arguments)
            shapes = tuple(getattr(leaf, "shape", ()) for leaf in leaves)
            # Within another function that is traced there is nothing to compile yet.
            traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
            if shapes not in known and not traced:
                self._compile(function, arguments)
                known.add(shapes)
            return function(*arguments)

        call.lower = function.lower  # type: ignore[attr-defined]
        return call

    def log(self) -> None:
        """Logs what was compiled since the last call, if anything."""
        count, cached, seconds = self._logged
        self._logged = self.count, self.cached, self.seconds
        if self.count > count:
            _log.info(
                "Compiled %d programs in %.1f s; %d of them came from jax's cache.",
                self.count - count,
                self.seconds - seconds,
                self.cached - cached,
            )

    def _compile(self, function: Any, arguments: tuple[Any, ...]) -> None:
        # What devices still compute is not compilation.
        jax.block_until_ready(arguments)
        found: list[str] = []

        def note(event: str, **_: Any) -> None:
            found.append(event)

        started = time.monotonic()
        jax.monitoring.register_event_listener(note)
        try:
            # jax keeps it for the calls.
            function.lower(*arguments).compile()
        finally:
            jax.monitoring.unregister_event_listener(note)
        self.seconds += time.monotonic() - started
        self.count += 1
        self.cached += _FROM_CACHE in found
