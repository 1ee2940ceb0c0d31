"""Windows in turn, and what is made of them."""

import numpy as np
import pytest

from experiments.benchmark import timing


def test_cases_take_turns_and_fill_their_windows(monkeypatch):
    """A clock that the works move: 2 s and 5 s each time, windows of 6 s."""
    now, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: now[0] / 10)

    def work(name, seconds):
        def do(count):
            calls.append((name, count))
            now[0] += seconds * count

        return do

    times = timing.interleaved(
        {"a": work("a", 2.0), "b": work("b", 5.0)}, timing.Turns(windows=2, seconds=6.0)
    )
    assert calls == [
        *[("a", 1), ("a", 1), ("b", 1), ("b", 1)],
        *[("a", 3), ("b", 2), ("a", 3), ("b", 2)],
    ]
    np.testing.assert_allclose(times["a"].seconds, [2.0, 2.0])
    np.testing.assert_allclose(times["b"].seconds, [5.0, 5.0])
    np.testing.assert_allclose(times["b"].processor_seconds, [0.5, 0.5])


def test_a_window_holds_whole_units():
    counts = []
    timing.interleaved(
        {"a": counts.append}, timing.Turns(windows=2, seconds=0.0), units={"a": 8}
    )
    assert counts == [8, 8, 8, 8]
    counts.clear()
    timing.interleaved(
        {"a": counts.append}, timing.Turns(windows=1, seconds=1e-4), units={"a": 8}
    )
    assert counts[-1] > 8
    assert counts[-1] % 8 == 0


def test_a_spread_is_the_median_and_the_quartiles():
    assert timing.spread([5.0, 1.0, 2.0, 4.0, 3.0]) == {
        "median": 3.0,
        "low": 2.0,
        "high": 4.0,
    }
    assert timing.spread([1.23456])["median"] == pytest.approx(1.235)
