"""The folder of a run: the name of every file in it, and how the simple ones are written."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from afm_jax import files
from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.training.run import checked_items, metrics_log
from afm_jax.training.run.checkpoints import Checkpoints
from afm_jax.training.run.metrics_log import MetricsLog

EVALUATED = ("validation", "test")
"""The splits whose logits a run leaves."""

_CONFIG, _SCHEMA, _RESULT = "config.json", "schema.json", "result.json"
_VOCABULARIES = "vocabularies.parquet"
_METRICS = "metrics.jsonl"
_CHECKPOINTS, _EVENTS, _LOGITS = "checkpoints", "events", "logits"


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as a folder.

    Attributes:
        path: the folder.
    """

    path: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """What is trained, as JSON; see `run.config`."""
        return self.path / _CONFIG

    @property
    def schema(self) -> pathlib.Path:
        """The schema of the data, as JSON."""
        return self.path / _SCHEMA

    @property
    def vocabularies(self) -> pathlib.Path:
        """The values with ids of their own, of which new rows are encoded."""
        return self.path / _VOCABULARIES

    @property
    def result(self) -> pathlib.Path:
        """The result of a run that ended, as JSON."""
        return self.path / _RESULT

    @property
    def metrics(self) -> pathlib.Path:
        """The lines of `MetricsLog`."""
        return self.path / _METRICS

    @property
    def events(self) -> pathlib.Path:
        """What TensorBoard's files of events begin with."""
        return self.path / _EVENTS

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of the checkpoints."""
        return self.path / _CHECKPOINTS

    def logits(self, split: str) -> pathlib.Path:
        """The logits of the best checkpoint on a split: float32 [N], row by row."""
        return self.path / _LOGITS / f"{split}.npy"

    @property
    def files(self) -> tuple[pathlib.Path, ...]:
        """All files of a run that are in no other folder of `folders` than that of logits."""
        logits = (self.logits(split) for split in EVALUATED)
        described = (self.config, self.schema, self.vocabularies)
        return *described, self.result, self.metrics, *logits

    @property
    def folders(self) -> tuple[pathlib.Path, ...]:
        """All folders of a run."""
        return self.checkpoints, self.events, self.path / _LOGITS

    def steps(self) -> list[int]:
        """The steps of the checkpoints, rising."""
        return checked_items.complete(self.checkpoints)

    def exists(self) -> bool:
        """Whether the folder holds a run, finished or not, or what is left of one."""
        return self.config.exists() or bool(self.steps())

    def check_unused(self) -> None:
        """Raises InputError if there is no run, but a file that one would write over.

        Lines of metrics may be left of a run that failed before its first checkpoint.
        """
        if self.exists():
            return
        described = (path for path in self.files if path != self.metrics)
        found = [path for path in described if path.is_file()]
        if found:
            raise InputError(
                f"{found[0]} is of no run that can be read, and would be written over; name another folder, or remove the file."
            )

    def read_schema(self) -> Schema:
        """The schema of the data.

        Raises:
            InputError: it is missing or damaged.
        """
        if not self.schema.is_file():
            raise InputError(f"{self.schema} does not exist, or is no file.")
        try:
            return Schema.from_json(self.schema.read_text(encoding="utf-8"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.schema} is damaged ({error}).") from None

    def open_checkpoints(
        self, schema: Schema | None, *, monitor: str, read_only: bool = False
    ) -> Checkpoints:
        """See `Checkpoints`."""
        return Checkpoints(
            self.checkpoints, schema, monitor=monitor, read_only=read_only
        )

    def open_metrics_log(
        self, *, step: int, written: Sequence[int] | None = None
    ) -> MetricsLog:
        """See `MetricsLog`."""
        return MetricsLog(self.metrics, self.events, step=step, written=written)

    def read_metrics(self) -> list[dict[str, Any]]:
        """See `metrics_log.read_metrics`."""
        return metrics_log.read_metrics(self.metrics)

    def write_logits(self, split: str, logits: np.ndarray) -> None:
        """Writes `logits(split)`: whole or, if the process is killed, not at all.

        Four bytes a row: for a few million rows less than one checkpoint of their tables.
        """
        path = self.logits(split)
        path.parent.mkdir(exist_ok=True)
        with files.written(path) as file:
            np.save(file, np.asarray(logits, np.float32))

    def read_logits(self, split: str, num_rows: int) -> np.ndarray | None:
        """What `write_logits` wrote; None if it is missing, damaged, or of other rows."""
        try:
            logits = np.load(self.logits(split))
        except (FileNotFoundError, EOFError, ValueError):
            return None
        return logits if logits.shape == (num_rows,) else None
