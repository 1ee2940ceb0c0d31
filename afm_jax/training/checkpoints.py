"""Checkpoints of a run, on Orbax: verified when read, the newest and the best kept."""

import errno
import logging
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, LatestN

from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.training import checked_items, leaves
from afm_jax.training.best import Best
from afm_jax.training.state import ADDED

T = TypeVar("T")


class Checkpoints:
    """The checkpoints in one folder; as a context manager, waits for the last save.

    A checkpoint gets its name once it is complete, so that a process killed at any
    moment loses no more than the work since the last one. The newest two are kept, and
    the best one.
    """

    def __init__(
        self,
        directory: str | pathlib.Path,
        schema: Schema | None,
        *,
        read_only: bool = False,
        monitor: str = "auc",
    ):
        """Opens the folder.

        Args:
            directory: the folder; unless `read_only`, it is made where it is missing
                and cleared of what a killed process left half-written.
            schema: what checkpoints carry and must agree with; None, if `read_only`,
                for whatever they carry.
            read_only: to restore only; leaves the folder as it is.
            monitor: the metric that tells the best checkpoint, of `best.MONITORS`.

        Raises:
            InputError: a file of this name, or `read_only` and there is no checkpoint.
        """
        self._directory = pathlib.Path(directory).absolute()
        if self._directory.exists() and not self._directory.is_dir():
            raise InputError(f"{self._directory} is a file, expected a folder.")
        self._schema = schema
        self._best = Best(monitor)
        self._damaged: set[int] = set()
        absl_logging.get_absl_logger().addFilter(_not_orbax_chatter)
        self._manager = ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                create=not read_only,
                cleanup_tmp_directories=not read_only,
                # Two, in case the newest turns out damaged.
                preservation_policy=AnyPreservationPolicy([LatestN(2), self._best]),
                save_root_metadata=False,
                lightweight_initialize=True,
            ),
        )
        if read_only and self.latest_step() is None:
            raise InputError(f"No checkpoint in {self._directory} to restore.")
        for step in self._manager.all_steps():
            try:
                self._best.note(
                    step, checked_items.read_about(self._manager, step)["metrics"]
                )
            except checked_items.DamageError:
                continue  # `restore` reports it, if it comes to that.

    def save(
        self,
        step: int,
        state: Any,
        progress: Mapping[str, Any],
        metrics: Mapping[str, float | None] | None = None,
    ) -> None:
        """Saves a checkpoint: copies the state, then writes it in the background.

        Args:
            step: number of updates made; above that of every checkpoint so far.
            state: a pytree of host arrays, free to change after the call.
            progress: JSON values, such as the position in the data.
            metrics: metrics of this state, or None if it was not evaluated.

        Raises:
            RuntimeError: there is a checkpoint of this step or of a later one.
            OSError: the disk has less space than the state takes uncompressed.
            Exception: what made the save before this one fail.
        """
        if self._schema is None:
            raise ValueError("a checkpoint carries a schema, found None")
        arrays = {k: np.asarray(v) for k, v in leaves.by_name(state).items()}
        about = {
            "progress": progress,
            "metrics": metrics,
            "schema": self._schema.to_json(),
        }
        needed = sum(array.nbytes for array in arrays.values())
        if shutil.disk_usage(self._directory).free < needed:
            # Of a save that fails half-way, Orbax prints a traceback for each leaf.
            full = "No space left on device"
            raise OSError(errno.ENOSPC, full, str(self._directory))
        self.wait()
        while self._damaged:  # Orbax saves no step below one that exists.
            self._manager.delete(self._damaged.pop())
        self._best.note(step, metrics)
        if not checked_items.save(self._manager, step, arrays, about):
            raise RuntimeError(
                f"step {step} was not saved: {self._directory} has step {self.latest_step()}"
            )

    def restore(self, example: T, step: int | None = None) -> tuple[int, T, Any]:
        """Restores a state.

        Args:
            example: a state of this structure with leaves of these shapes and dtypes.
            step: the step to restore; None: the newest that is not damaged. Damaged
                ones above it are logged, and deleted by the next `save`.

        Returns:
            The step, the state with NumPy arrays as leaves, and its progress.

        Raises:
            InputError: there is no such checkpoint, it is damaged, its schema is
                another, or its leaves are not like the example's.
            OSError: the machine, at the moment, cannot read a file that may be whole.
        """
        step, (state, progress) = self._newest(step, lambda s: self._load(s, example))
        return step, state, progress

    def restore_best(self, example: T) -> tuple[int, T, Any]:
        """Restores the state of the best metric as `restore` does.

        The newest that is not damaged stands in for a best one that is, with a warning,
        and where no checkpoint has the metric.
        """
        self.wait()
        best = self.best_step()
        if best is not None:
            try:
                return best, *self._load(best, example)
            except checked_items.DamageError as error:
                absl_logging.warning(
                    "In %s the best checkpoint, %d, is damaged: %s. Taking the newest one.",
                    *(self._directory, best, error),
                )
        return self.restore(example)

    def restore_fields(
        self, example: dict[str, Any], step: int | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Restores some fields of a state, its parameters say, leaving the others.

        Takes an example of these fields by name and gives the step and the fields;
        `step` and errors are those of `restore`.
        """
        step, (fields, _) = self._newest(
            step, lambda s: self._load(s, example, fields=tuple(example))
        )
        return step, fields

    def latest_step(self) -> int | None:
        """The newest step, or None."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step of the best metric, the newest of equals; None if none has it."""
        return self._best.step_of(self._manager.all_steps())

    def wait(self) -> None:
        """Waits for the save under way; raises what made it fail."""
        try:
            self._manager.wait_until_finished()
        except Exception:
            self._manager.reload()  # It counts as deleted what the save was to replace.
            raise

    def close(self) -> None:
        """Waits, and ends the threads that save."""
        self._manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _newest(self, step: int | None, read: Callable[[int], T]) -> tuple[int, T]:
        """`read` of the step, or of the newest that can be read."""
        self.wait()
        steps = self._manager.all_steps()
        damage = []
        for candidate in reversed(steps):
            if step not in (None, candidate):
                continue
            try:
                return candidate, read(candidate)
            except checked_items.DamageError as error:
                damage.append(f"checkpoint {candidate} is damaged: {error}")
            if step is None:
                absl_logging.warning("In %s %s.", self._directory, damage[-1])
                self._damaged.add(candidate)
        wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
        reason = "; ".join(damage) or f"its steps are {tuple(steps) or 'none'}"
        raise InputError(f"No {wanted} in {self._directory} can be restored: {reason}.")

    def _load(
        self, step: int, example: T, fields: tuple[str, ...] | None = None
    ) -> tuple[T, Any]:
        """State and progress, or those fields of the state."""
        about = checked_items.read_about(self._manager, step)
        where = f"Checkpoint {step} in {self._directory}"
        if self._schema is not None:
            difference = Schema.from_json(about["schema"]).difference(self._schema)
            if difference:
                raise InputError(f"{where} was made with another schema, {difference}.")
        saved = about["leaves"]
        if fields is not None:
            saved = {k: v for k, v in saved.items() if k.split("/")[0] in fields}
        names = leaves.by_name(example)
        added = {k: v for k, v in ADDED.items() if k in names and k not in saved}
        described = {k: leaves.describe(v) for k, v in added.items()}
        difference = leaves.difference(saved | described, example)
        if difference:
            raise InputError(f"{where} does not fit: {difference}.")
        arrays = [
            np.array(added[name])
            if name in added
            else checked_items.read_leaf(self._manager, step, name, saved[name])
            for name in names
        ]
        state = jax.tree.unflatten(jax.tree.structure(example), arrays)
        return state, about["progress"]


def _not_orbax_chatter(record: logging.LogRecord) -> bool:
    """Drops the some fifty INFO lines that Orbax logs at every save, and tracebacks.

    What makes a save fail is raised by `Checkpoints.wait`; Orbax logs it several times.
    """
    from_orbax = "orbax" in record.pathname
    return not from_orbax or (record.levelno >= logging.WARNING and not record.exc_info)
