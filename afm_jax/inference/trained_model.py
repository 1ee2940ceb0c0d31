"""What `afm_jax.fit` and `afm_jax.load` give: a run, and predictions with its model."""

import functools
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import linen as nn

from afm_jax import files
from afm_jax.errors import InputError, path
from afm_jax.inference.predictor import Predictor
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run


class TrainedModel:
    """A run that ended: its metrics, and predictions of its best checkpoint.

    Attributes:
        folder: where the run is; a temporary one, which goes with this object, if none
            was named.
        result: all that the run tells, as `training.loop.train_and_evaluate` returns it.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        result: Mapping[str, Any],
        *,
        model: type[nn.Module] | None = None,
        loss: Any = None,
    ):
        """Use `fit` or `load`.

        Args:
            folder: of the run.
            result: of the run.
            model: the class of the model, if it is none of this package.
            loss: the loss, if it is none of this package.
        """
        self.folder, self.result = folder, result
        self._model, self._loss = model, loss

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """The metrics of the best checkpoint on 'validation' and 'test', where there are."""
        return {
            split: self.result[split]
            for split in ("validation", "test")
            if self.result.get(split)
        }

    @property
    def history(self) -> list[dict[str, Any]]:
        """What was measured on the way, in order.

        A line with 'loss' is of training, one with 'validation' of the end of an epoch.
        """
        return Run(self.folder).read_metrics()

    @functools.cached_property
    def predictor(self) -> Predictor:
        """The predictor of the best checkpoint."""
        return Predictor.load(self.folder, model=self._model, loss=self._loss)

    def predict(self, frame: Any) -> np.ndarray:
        """Probabilities of new rows, float64 [N]; see `Predictor.predict`."""
        return self.predictor.predict(frame)

    def export(self, folder: str | pathlib.Path, *, format: str = "jax") -> None:
        """Writes a folder that predicts without afm_jax; see `inference.export.export`."""
        from afm_jax.inference.export import export

        export(self.predictor, path("folder", folder), format=format)

    def save(self, folder: str | pathlib.Path) -> None:
        """Copies the run to a folder, which must not exist or be empty.

        Raises:
            InputError: there is something in the folder, or the run is not there any more.
        """
        target = path("folder", folder)
        read_config(Run(self.folder))  # raises if the run has been deleted
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target} is there already; name another folder.")
        if target.exists():
            target.rmdir()
        with files.placed(target, overwrite=False) as new:
            shutil.copytree(self.folder, new, dirs_exist_ok=True)
