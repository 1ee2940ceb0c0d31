"""What a run leaves is whole, or as it was before."""

import contextlib
import json
import struct
import threading

import numpy as np
import pytest

from afm_jax.errors import InputError
from afm_jax.training import records


def test_logits_are_written_as_float32_in_their_order(tmp_path):
    logits = np.random.default_rng(0).normal(size=9)
    records.write_logits(tmp_path, "test", logits)
    found = np.load(records.logits_file(tmp_path, "test"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, logits.astype(np.float32))
    assert [path.name for path in (tmp_path / "logits").iterdir()] == ["test.npy"]


def test_a_failed_write_leaves_the_logits_before_it(tmp_path, monkeypatch):
    records.write_logits(tmp_path, "test", np.ones(3))

    def fail(file, array):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        records.write_logits(tmp_path, "test", np.zeros(3))
    found = np.load(records.logits_file(tmp_path, "test"))
    np.testing.assert_array_equal(found, np.ones(3))


def test_lines_are_appended_and_those_after_the_step_are_dropped(tmp_path):
    for step in (0, 2):
        with contextlib.closing(records.Records(tmp_path, step=step)) as lines:
            for later in (1, 2, 3):
                lines.write(step + later, {"loss": 0.5 + later})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')  # a kill in the middle of a line
    records.Records(tmp_path, step=9).close()
    found = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in found] == [1, 2, 3, 4, 5]


def read_events(folder):
    """(step, title, number) of each event, in the order of the files."""
    pytest.importorskip("tensorboardX", reason="needs the extra 'plots'")
    from tensorboardX.proto import event_pb2

    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            for value in event.summary.value:
                found.append((event.step, value.tag, value.simple_value))
            if event.session_log.status == event_pb2.SessionLog.START:
                found.append((event.step, "start", None))
    return found


def test_numbers_are_events_too_at_once(tmp_path):
    with contextlib.closing(records.Records(tmp_path, step=0)) as lines:
        lines.write(3, {"loss": 0.5, "validation": {"auc": 0.75, "gauc": None}})
        assert read_events(tmp_path) == [(3, "loss", 0.5), (3, "validation/auc", 0.75)]


def test_events_after_the_step_that_a_run_goes_on_from_are_to_be_forgotten(tmp_path):
    records.Records(tmp_path, step=7).close()
    assert read_events(tmp_path) == [(7, "start", None)]


def test_no_thread_outlives_the_records(tmp_path):
    before = threading.active_count()
    lines = records.Records(tmp_path, step=0)
    lines.write(1, {"loss": 0.5})
    assert threading.active_count() == before
    lines.close()


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"loss": 1}', b'{"step": "x"}', b"\xff"]
)
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl line 2 is damaged; remove"):
        records.Records(tmp_path, step=9)
