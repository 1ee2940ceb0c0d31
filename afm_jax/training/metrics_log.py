"""What a run writes down: metrics.jsonl, TensorBoard events, and its last logits."""

import itertools
import json
import logging
import pathlib
import time
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from afm_jax import files
from afm_jax.errors import InputError, install

_log = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
"""The file of the lines in a working directory."""


class MetricsLog:
    """Appends lines to `metrics.jsonl` in a folder, and the same to TensorBoard.

    Lines hold nothing that depends on the clock, so that a run that was killed and
    resumed leaves the file that it would have left otherwise.

    Attributes:
        checksums: the crc32 of each line of the file so far.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        step: int,
        written: Sequence[int] | None = None,
    ):
        """Opens the files.

        Args:
            workdir: an existing folder.
            step: the step that the run goes on from; lines of later steps, which a
                killed run may have left, are dropped.
            written: the `checksums` of the run at this step; None if they are not known.

        Raises:
            InputError: the file that is there does not hold such lines, or not those
                that the run wrote.
        """
        path = workdir / METRICS
        there = path.exists()
        lines = [line for line in _read(path) if line.content["step"] <= step]
        self.checksums = [zlib.crc32(line.text) for line in lines]
        if written is not None and there:
            _check(path, self.checksums, written)
        elif written:
            _log.info("%s is gone: going on without its first lines.", path)
        with files.written(path) as file:
            file.writelines(line.text for line in lines)
        self._file = path.open("ab")
        self._events = _open_events(workdir, step)

    def write(self, step: int, line: dict[str, Any]) -> None:
        """Writes one line, {"step": step, **line}; numbers or dicts of numbers."""
        text = json.dumps({"step": step, **line}).encode() + b"\n"
        self._file.write(text)
        self._file.flush()
        self.checksums.append(zlib.crc32(text))
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
    with files.written(path) as file:
        np.save(file, np.asarray(logits, np.float32))


def read_logits(workdir: pathlib.Path, split: str, num_rows: int) -> np.ndarray | None:
    """What `write_logits` wrote, or None if it is not there, damaged, or of other rows."""
    try:
        logits = np.load(logits_file(workdir, split))
    except (FileNotFoundError, EOFError, ValueError):
        return None
    return logits if logits.shape == (num_rows,) else None


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """The lines that the run in a folder has written; none where the file is missing.

    Raises:
        InputError: the file does not hold such lines.
    """
    return [line.content for line in _read(workdir / METRICS)]


class _Line(NamedTuple):
    text: bytes
    content: dict[str, Any]


def _read(path: pathlib.Path) -> list[_Line]:
    """The whole lines of the file; a kill may have cut the last one short."""
    if not path.exists():
        return []
    lines = []
    for number, text in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not text.endswith(b"\n"):
            break
        try:
            lines.append(_Line(text, json.loads(text)))
            lines[-1].content["step"] + 0
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(
                f"{path} line {number} is damaged; remove the file to go on without it."
            ) from None
    return lines


def _check(path: pathlib.Path, found: Sequence[int], written: Sequence[int]) -> None:
    """Raises InputError at the first line that is not what the run wrote there."""
    pairs = itertools.zip_longest(found, written)
    for number, (one, other) in enumerate(pairs, 1):
        if one != other:
            raise InputError(
                f"{path} line {number} is not what the run wrote: lines were changed, removed or moved. Put the file back, or remove it to go on without it."
            )


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
        """Opens the file; TensorBoard is to forget what came after `step`."""
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
