"""What is compiled, how often and for how long, and that no speed depends on it."""

import jax
import numpy as np

from afm_jax.training import compilations


def twice(values):
    return 2 * values


def test_new_shapes_are_compiled_once_and_counted(monkeypatch):
    counted = compilations.Compilations()
    called = counted.ahead(jax.jit(twice))
    compiled = []
    compile = jax.stages.Lowered.compile
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: compiled.append(1) or compile(self)
    )
    for size in (3, 4, 3, 4, 5):
        np.testing.assert_array_equal(called(np.ones(size)), 2 * np.ones(size))
    assert counted.count == len(compiled) == 3
    assert counted.seconds > 0


def test_a_call_compiles_nothing_that_was_not_counted():
    counted = compilations.Compilations()
    events = []

    def note(event, duration, **_):
        events.append(event)

    functions = [jax.jit(twice), jax.pmap(twice)]
    count = jax.device_count()
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        for function in functions:
            called = counted.ahead(function)
            for size in (7, 9, 7):
                called(np.ones((count, size), np.float32))
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    found = [event for event in events if event.endswith("backend_compile_duration")]
    assert counted.count == 4 == len(found)


def test_what_an_earlier_process_left_on_disk_is_told_apart(monkeypatch):
    counted = compilations.Compilations()
    compile = jax.stages.Lowered.compile

    def from_disk(self):
        jax.monitoring.record_event("/jax/compilation_cache/cache_hits")
        return compile(self)

    called = counted.ahead(jax.jit(twice))
    called(np.ones(11))
    cached = counted.cached
    monkeypatch.setattr(jax.stages.Lowered, "compile", from_disk)
    called(np.ones(12))
    called(np.ones(13))
    assert (counted.count, counted.cached - cached) == (3, 2)
