"""How far a program is, off a terminal."""

import logging

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
        "encode: 30%, 70 rows/s, 40 s left loss 0.5"
    ]


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
