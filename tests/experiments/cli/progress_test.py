"""How far a program is, off a terminal."""

import io
import logging
import re
import sys
import types

from experiments.cli import progress
from experiments.cli.progress import show_progress, show_stages


def test_progress_off_a_terminal_is_a_log_line_every_ten_seconds(monkeypatch, caplog):
    clock = iter([0.0, 20.0, 21.0, 30.0, 33.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with (
        caplog.at_level(logging.INFO, "experiments.cli.progress"),
        show_progress("encode", 4000) as advance,
    ):
        advance(500)
        advance(100)  # So soon after the first that a rate would be a guess.
        advance(600, "loss 0.5")
        advance(100)
    assert [record.getMessage() for record in caplog.records] == [
        # Not the rate of the first 500, whose time was that of getting ready, too.
        "encode: 30%, 70 rows/s, 40 s left, loss 0.5"
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_tells_no_rate_of_the_first_second_and_logs_stand_above_it(monkeypatch):
    terminal, clock = Terminal(), types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(
        progress, "time", types.SimpleNamespace(monotonic=lambda: clock.now)
    )
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with show_progress("Training", 4000) as advance:
        for clock.now in 5.0, 5.001, 7.0:
            advance(1000, "loss 0.6931")
        print("12:00:00 Epoch 1 of 5.", file=sys.stderr)
    told = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert set(re.findall(r"([\d,]+) rows/s", told)) == {"1,000"}
    assert "75% 1,000 rows/s, 1 s left, loss 0.6931" in told
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", told)]
    assert "12:00:00 Epoch 1 of 5." in lines


def test_each_stage_is_told_on_its_own(monkeypatch, caplog):
    clock = iter([0.0, 1.0, 12.0, 20.0, 21.0, 33.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with (
        caplog.at_level(logging.INFO, "experiments.cli.progress"),
        show_stages() as advance,
    ):
        advance("read", 10, 40, "MB")
        advance("read", 10, 40, "MB")
        advance("encode", 100, 400, "rows")
        advance("encode", 240, 400, "rows")
    assert [record.getMessage().rstrip() for record in caplog.records] == [
        "read: 50%, 1 MB/s, 22 s left",
        "encode: 85%, 20 rows/s, 3 s left",
    ]
