"""Ctrl-C reaches a program wherever it is; what asks it to stop is heard once."""

import gc
import signal
import threading
import time

import pytest

from experiments.cli import program, signals

FLAGS = program.flags.FlagValues()
KINDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Finalizer:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def in_a_finalizer():
    Finalizer()


def in_a_garbage_collection():
    def callback(phase, info):
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    gc.collect()


def in_plain_code():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "interrupt", [in_a_finalizer, in_a_garbage_collection, in_plain_code]
)
def test_ctrl_c_ends_a_program_wherever_it_comes(interrupt, capsys):
    def job():
        interrupt()
        time.sleep(30)
        raise AssertionError("Ctrl-C was lost")

    assert program.run(job, FLAGS, ["prog"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_other_errors_in_a_finalizer_are_told_as_before(monkeypatch):
    told = []
    monkeypatch.setattr(signals.sys, "unraisablehook", told.append)

    class Broken:
        def __del__(self):
            raise ZeroDivisionError

    with signals.delivered():
        Broken()
    assert [lost.exc_type for lost in told] == [ZeroDivisionError]


def test_a_program_puts_back_the_handlers_it_found(monkeypatch):
    def own(number, frame):
        raise AssertionError

    before = signal.signal(signal.SIGINT, own)
    try:
        assert program.run(dict, FLAGS, ["prog"]) == 0
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_signal_asks_and_the_second_acts(kind):
    acted = threading.Event()
    before = signal.signal(kind, lambda number, frame: acted.set())
    try:
        with signals.stop_requested() as stop:
            assert not stop.is_set()
            signal.raise_signal(kind)
            assert stop.is_set()
            assert not acted.is_set()
            signal.raise_signal(kind)
            assert acted.is_set()
    finally:
        signal.signal(kind, before)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_ignored_at_the_start_stays_ignored(kind):
    """SIGHUP under nohup; SIGINT in the background of a script."""
    before = signal.signal(kind, signal.SIG_IGN)
    try:
        with signals.delivered(), signals.stop_requested() as stop:
            signal.raise_signal(kind)
            assert not stop.is_set()
        assert signal.getsignal(kind) is signal.SIG_IGN
    finally:
        signal.signal(kind, before)
