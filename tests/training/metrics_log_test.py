"""What a run leaves is whole, or as it was before."""

import contextlib
import json
import struct
import threading

import numpy as np
import pytest

from afm_jax.errors import InputError
from afm_jax.training import metrics_log


def test_logits_are_written_as_float32_in_their_order(tmp_path):
    logits = np.random.default_rng(0).normal(size=9)
    metrics_log.write_logits(tmp_path, "test", logits)
    found = np.load(metrics_log.logits_file(tmp_path, "test"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, logits.astype(np.float32))
    assert [path.name for path in (tmp_path / "logits").iterdir()] == ["test.npy"]


def test_a_failed_write_leaves_the_logits_before_it(tmp_path, monkeypatch):
    metrics_log.write_logits(tmp_path, "test", np.ones(3))

    def fail(file, array):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        metrics_log.write_logits(tmp_path, "test", np.zeros(3))
    found = np.load(metrics_log.logits_file(tmp_path, "test"))
    np.testing.assert_array_equal(found, np.ones(3))


def test_lines_are_appended_and_those_after_the_step_are_dropped(tmp_path):
    for step in (0, 2):
        with contextlib.closing(metrics_log.MetricsLog(tmp_path, step=step)) as lines:
            for later in (1, 2, 3):
                lines.write(step + later, {"loss": 0.5 + later})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "lo')  # a kill in the middle of a line
    metrics_log.MetricsLog(tmp_path, step=9).close()
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
    with contextlib.closing(metrics_log.MetricsLog(tmp_path, step=0)) as lines:
        lines.write(3, {"loss": 0.5, "validation": {"auc": 0.75, "gauc": None}})
        assert read_events(tmp_path) == [(3, "loss", 0.5), (3, "validation/auc", 0.75)]


def test_events_after_the_step_that_a_run_goes_on_from_are_to_be_forgotten(tmp_path):
    metrics_log.MetricsLog(tmp_path, step=7).close()
    assert read_events(tmp_path) == [(7, "start", None)]


def test_no_thread_outlives_the_log(tmp_path):
    before = threading.active_count()
    lines = metrics_log.MetricsLog(tmp_path, step=0)
    lines.write(1, {"loss": 0.5})
    assert threading.active_count() == before
    lines.close()


@pytest.mark.parametrize(
    "line",
    [b"{", b"[]", b'{"loss": 1}', b'{"step": "x"}', b"\xff", b"[" * 100_000],
)
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl line 2 is damaged; remove"):
        metrics_log.MetricsLog(tmp_path, step=9)


def write_lines(workdir, count=6):
    """A file of lines; the checksums of those up to step 4."""
    with contextlib.closing(metrics_log.MetricsLog(workdir, step=0)) as lines:
        for step in range(1, count + 1):
            lines.write(step, {"loss": 1 / step, "epoch": step // 2})
            if step == 4:
                checksums = list(lines.checksums)
    return checksums


def reorder(lines):
    lines[1], lines[2] = lines[2], lines[1]


def flip(lines):
    lines[2] = lines[2].replace(b"0.33", b"0.34")


def double(lines):
    lines.insert(2, lines[1])


def move_in_time(lines):
    lines[3] = lines[3].replace(b'"step": 4', b'"step": 5')


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda lines: lines.pop(0), 1),
        (lambda lines: lines.pop(2), 3),
        (lambda lines: lines.__delitem__(slice(3, None)), 4),
        (lambda lines: lines.clear(), 1),
        (reorder, 2),
        (flip, 3),
        (double, 3),
        (move_in_time, 4),
    ],
)
def test_a_line_that_the_run_did_not_write_there_is_named(tmp_path, harm, line):
    written = write_lines(tmp_path)
    path = tmp_path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    harm(lines)
    path.write_bytes(b"".join(lines))
    told = rf"metrics\.jsonl line {line} is not what the run wrote.*remove it to go on"
    with pytest.raises(InputError, match=told):
        metrics_log.MetricsLog(tmp_path, step=4, written=written)
    assert path.read_bytes() == b"".join(lines)


def test_lines_after_the_step_and_a_missing_file_do_not_stop_a_run(tmp_path):
    written = write_lines(tmp_path)
    path = tmp_path / "metrics.jsonl"
    with path.open("ab") as file:
        file.write(b'{"step": 7, "lo')
    with contextlib.closing(
        metrics_log.MetricsLog(tmp_path, step=4, written=written)
    ) as lines:
        assert lines.checksums == written
    assert [line["step"] for line in metrics_log.read_metrics(tmp_path)] == [1, 2, 3, 4]
    path.unlink()
    with contextlib.closing(
        metrics_log.MetricsLog(tmp_path, step=4, written=written)
    ) as lines:
        lines.write(5, {"loss": 0.5})
        later = list(lines.checksums)
    metrics_log.MetricsLog(tmp_path, step=5, written=later).close()


def test_a_run_that_took_no_checksums_down_goes_on(tmp_path):
    write_lines(tmp_path)
    metrics_log.MetricsLog(tmp_path, step=4, written=None).close()
    assert len(metrics_log.read_metrics(tmp_path)) == 4
