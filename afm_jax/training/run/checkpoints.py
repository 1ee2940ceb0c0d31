"""Checkpoints of a run: verified when read, the newest and the best kept."""

import concurrent.futures
import copy
import errno
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import jax
import numpy as np
from absl import logging

from afm_jax.errors import InputError
from afm_jax.features import Schema
from afm_jax.training import leaves
from afm_jax.training.run import checked_items
from afm_jax.training.run.best import Best
from afm_jax.training.state import ADDED

T = TypeVar("T")
Place = Callable[[tuple[Any, ...], np.ndarray], Any]

_LIKE = "Encode new rows as its: data.prepare --like=RUN, or prepare_frames(like=)."
_NEWEST = 2  # are kept, in case the newest turns out damaged


def _as_it_is(path: tuple[Any, ...], array: np.ndarray) -> np.ndarray:
    return array


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
            monitor: the metric that tells the best checkpoint, of `ops.metrics.DIRECTIONS`.

        Raises:
            InputError: a file of this name, or `read_only` and there is no checkpoint.
        """
        self._directory = pathlib.Path(directory).absolute()
        if self._directory.exists() and not self._directory.is_dir():
            raise InputError(f"{self._directory} is a file, expected a folder.")
        self._schema = schema
        self._best = Best(monitor)
        self._damaged: set[int] = set()
        self._writer = concurrent.futures.ThreadPoolExecutor(1, "checkpoints")
        self._saving: tuple[int, concurrent.futures.Future[None]] | None = None
        checked_items.quiet_orbax()
        if not read_only:
            self._directory.mkdir(parents=True, exist_ok=True)
            for path in checked_items.unfinished(self._directory):
                shutil.rmtree(path)
        elif self.latest_step() is None:
            raise InputError(f"No checkpoint in {self._directory} to restore.")
        for step in self._steps():
            try:
                self._best.note(step, self._about(step)["metrics"])
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
            state: a pytree of arrays; this and what follows may change after the call.
            progress: JSON values, such as the position in the data.
            metrics: metrics of this state, or None if it was not evaluated.

        Raises:
            RuntimeError: there is a checkpoint of this step or of a later one.
            InputError: the folder is gone.
            OSError: the disk has less space than the state takes uncompressed, or the
                folder cannot be read.
            Exception: what made the save before this one fail.
        """
        if self._schema is None:
            raise ValueError("a checkpoint carries a schema, found None")
        named = leaves.by_name(state)
        try:
            free = shutil.disk_usage(self._directory).free
        except FileNotFoundError:
            raise InputError(
                f"{self._directory} was removed while the run went on."
            ) from None
        if free < sum(leaf.nbytes for leaf in named.values()):
            full = "No space left on device"
            raise OSError(errno.ENOSPC, full, str(self._directory))
        self.wait()
        while self._damaged:
            checked_items.remove(self._folder(self._damaged.pop()))
        latest = self.latest_step()
        if latest is not None and step <= latest:
            raise RuntimeError(
                f"step {step} was not saved: {self._directory} has step {latest}"
            )
        arrays = {name: np.array(leaf, order="C") for name, leaf in named.items()}
        about = {
            "progress": copy.deepcopy(progress),
            "metrics": copy.deepcopy(metrics),
            "schema": self._schema.to_json(),
        }
        self._best.note(step, metrics)
        self._saving = step, self._writer.submit(self._write, step, arrays, about)

    def restore(
        self, example: T, step: int | None = None, *, place: Place = _as_it_is
    ) -> tuple[int, T, Any]:
        """Restores a state.

        Args:
            example: a state of this structure with leaves of these shapes and dtypes.
            step: the step to restore; None: the newest that is not damaged. Damaged
                ones above it are logged, and deleted by the next `save`.
            place: (path, array) -> leaf of the restored state, called with each array
                once it is read, so that it can be moved to a device before the next.

        Returns:
            The step, the state with NumPy arrays, or what `place` makes of them, as
            leaves, and its progress.

        Raises:
            InputError: there is no such checkpoint, it is damaged, its schema is
                another, or its leaves are not like the example's.
            OSError: the machine, at the moment, cannot read a file that may be whole.
        """
        step, (state, progress) = self._newest(
            step, lambda s: self._load(s, example, place=place)
        )
        return step, state, progress

    def restore_best(
        self, example: T, *, place: Place = _as_it_is
    ) -> tuple[int, T, Any]:
        """Restores the state of the best metric as `restore` does.

        The newest that is not damaged stands in for a best one that is, with a warning,
        and where no checkpoint has the metric.
        """
        self.wait()
        best = self.best_step()
        if best is not None:
            try:
                return best, *self._load(best, example, place=place)
            except checked_items.DamageError as error:
                logging.warning(
                    "In %s the best checkpoint, %d, is damaged: %s. Taking the newest one.",
                    self._directory,
                    best,
                    error,
                )
        return self.restore(example, place=place)

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

    def saved_leaves(self) -> set[str] | None:
        """Names of the leaves of the newest that `restore` would take; None without one."""
        if self.latest_step() is None:
            return None
        return {*self._newest(None, self._about)[1]["leaves"]}

    def latest_step(self) -> int | None:
        """The newest step, or None."""
        return max(self._steps(), default=None)

    def best_step(self) -> int | None:
        """The step of the best metric, the first of equals; None if none has it."""
        return self._best.step_of(self._steps())

    def wait(self) -> None:
        """Waits for the save under way; raises what made it fail, once."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving[1].result()

    def close(self) -> None:
        """Waits, and ends the thread that saves."""
        try:
            self.wait()
        finally:
            self._writer.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _folder(self, step: int) -> pathlib.Path:
        return self._directory / str(step)

    def _about(self, step: int) -> Any:
        return checked_items.read_about(self._folder(step))

    def _steps(self) -> list[int]:
        """The steps of all checkpoints, that under way included, rising."""
        under_way = [] if self._saving is None else [self._saving[0]]
        return sorted({*checked_items.complete(self._directory), *under_way})

    def _write(
        self, step: int, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
    ) -> None:
        """Writes a checkpoint, then deletes those that it makes dispensable."""
        checked_items.write(self._folder(step), arrays, about)
        steps = checked_items.complete(self._directory)
        for old in {*steps[:-_NEWEST]} - {self._best.step_of(steps)}:
            checked_items.remove(self._folder(old))

    def _newest(self, step: int | None, read: Callable[[int], T]) -> tuple[int, T]:
        """`read` of the step, or of the newest that can be read."""
        self.wait()
        steps = self._steps()
        damage = []
        for candidate in reversed(steps):
            if step not in (None, candidate):
                continue
            try:
                return candidate, read(candidate)
            except checked_items.DamageError as error:
                damage.append(f"checkpoint {candidate} is damaged: {error}")
            if step is None and candidate not in self._damaged:
                logging.warning("In %s %s.", self._directory, damage[-1])
                self._damaged.add(candidate)
        wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
        reason = "; ".join(damage) or f"its steps are {tuple(steps) or 'none'}"
        raise InputError(f"No {wanted} in {self._directory} can be restored: {reason}.")

    def _load(
        self,
        step: int,
        example: T,
        *,
        fields: tuple[str, ...] | None = None,
        place: Place = _as_it_is,
    ) -> tuple[T, Any]:
        """State and progress, or those fields of the state."""
        about = self._about(step)
        where = f"Checkpoint {step} in {self._directory}"
        if self._schema is not None:
            difference = Schema.from_json(about["schema"]).difference(self._schema)
            if difference:
                raise InputError(f"{where} has another schema, {difference}. {_LIKE}")
        saved = about["leaves"]
        if fields is not None:
            saved = {k: v for k, v in saved.items() if k.split("/")[0] in fields}
        names = leaves.by_name(example)
        added = {k: v for k, v in ADDED.items() if k in names and k not in saved}
        described = {k: leaves.describe(v) for k, v in added.items()}
        difference = leaves.difference(saved | described, example)
        if difference:
            raise InputError(f"{where} does not fit: {difference}.")
        folder = self._folder(step)

        def read(path, _):
            name = leaves.name_of(path)
            if name in added:
                return place(path, np.array(added[name]))
            return place(path, checked_items.read_leaf(folder, name, saved[name]))

        state = jax.tree_util.tree_map_with_path(read, example)
        return state, about["progress"]
