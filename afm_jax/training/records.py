"""What a run writes down: metrics.jsonl, TensorBoard events, and its last logits."""

import json
import logging
import pathlib
import time
from typing import Any

import numpy as np

from afm_jax.errors import InputError, install

_log = logging.getLogger(__name__)


class Records:
    """Appends lines to `metrics.jsonl` in a folder, and the same to TensorBoard.

    Lines hold nothing that depends on the clock, so that a run that was killed and
    resumed leaves the file that it would have left otherwise.
    """

    def __init__(self, workdir: pathlib.Path, *, step: int):
        """Opens the files.

        Args:
            workdir: an existing folder.
            step: the step that the run goes on from; lines of later steps, which a
                killed run may have left, are dropped.

        Raises:
            InputError: the file that is there does not hold such lines.
        """
        path = workdir / "metrics.jsonl"
        kept = [line for line in _read(path) if line["step"] <= step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(path)
        self._file = path.open("a", encoding="utf-8")
        self._events = _open_events(workdir, step)

    def write(self, step: int, line: dict[str, Any]) -> None:
        """Writes one line, {"step": step, **line}; numbers or dicts of numbers."""
        self._file.write(json.dumps({"step": step, **line}) + "\n")
        self._file.flush()
        if self._events is None:
            return
        for name, value in line.items():
            numbers = value if isinstance(value, dict) else {"": value}
            for key, number in numbers.items():
                if number is not None:
                    title = f"{name}/{key}" if key else name
                    self._events.write(step, title, number)
        self._events.flush()

    def close(self) -> None:
        """Closes the files."""
        try:
            self._file.close()
        finally:
            if self._events is not None:
                self._events.close()


def logits_file(workdir: pathlib.Path, split: str) -> pathlib.Path:
    """Where a run leaves its logits on a split: float32 [N], row by row."""
    return workdir / "logits" / f"{split}.npy"


def write_logits(workdir: pathlib.Path, split: str, logits: np.ndarray) -> None:
    """Writes `logits_file`: whole or, if the process is killed, not at all.

    Four bytes a row: for a few million rows less than one checkpoint of their tables.
    """
    path = logits_file(workdir, split)
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, np.asarray(logits, np.float32))
    temporary.replace(path)


def read_logits(workdir: pathlib.Path, split: str, num_rows: int) -> np.ndarray | None:
    """What `write_logits` wrote, or None if it is not there, damaged, or of other rows."""
    try:
        logits = np.load(logits_file(workdir, split))
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return logits if logits.shape == (num_rows,) else None


def _read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The whole lines of the file; a kill may have cut the last one short."""
    if not path.exists():
        return []
    lines = []
    text = path.read_bytes()
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            lines.append(json.loads(line))
            lines[-1]["step"] + 0
        except (ValueError, KeyError, TypeError):
            raise InputError(
                f"{path} line {number} is damaged; remove the file to go on without it."
            ) from None
    return lines


def _open_events(workdir: pathlib.Path, step: int) -> "_Events | None":
    try:
        return _Events(workdir, step)
    except ImportError:
        _log.info("No TensorBoard events; %s for them.", install("plots"))
        return None


class _Events:
    """A file of TensorBoard events, written by the caller's thread.

    tensorboardX's SummaryWriter writes in a thread of its own, which a full disk leaves
    behind, to print a traceback when the process ends.
    """

    def __init__(self, workdir: pathlib.Path, step: int):
        """Opens the file; TensorBoard is to forget what it was told after `step`."""
        from tensorboardX import event_file_writer, summary
        from tensorboardX.proto import event_pb2

        self._summary, self._proto = summary, event_pb2
        self._writer = event_file_writer.EventsWriter(str(workdir / "events"))
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(step, session_log=start)

    def write(self, step: int, title: str, number: float) -> None:
        self._write(step, summary=self._summary.scalar(title, number))

    def _write(self, step: int, **content: Any) -> None:
        self._writer.write_event(
            self._proto.Event(wall_time=time.time(), step=step, **content)
        )

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
