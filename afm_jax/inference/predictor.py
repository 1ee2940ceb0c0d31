"""Predictions of a trained model for new rows, and for those of a store."""

import functools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.errors import InputError
from afm_jax.features import Batch, Features, Rows, Schema
from afm_jax.inference import restoring
from afm_jax.ops.losses import Loss
from afm_jax.training import evaluation, steps
from afm_jax.training.devices import Devices
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run

if TYPE_CHECKING:
    from afm_jax.data.preparation.encoding import FrameEncoder

BATCH_SIZE = 4096
"""Rows that are computed at once, at most."""

_FEWEST = 16
"""Smaller batches are filled up to so many rows, and each to a power of 2."""


class Predictor:
    """A trained model, and how new rows are encoded for it.

    Attributes:
        schema: how columns became features.
        model: the model.
        variables: of the model, arrays on the host.
        vocabularies: the values that have ids of their own.
        loss: says what the logits mean.
        compute_dtype: that the model was trained with.
        devices: where it computes.
        step: of the checkpoint; None if the variables are of none.
    """

    def __init__(
        self,
        schema: Schema,
        vocabularies: Vocabularies,
        model: nn.Module,
        variables: Any,
        loss: Loss,
        *,
        compute_dtype: str = "float32",
    ):
        """Puts the variables on the devices; the first predictions compile.

        Args:
            schema: of the data that the model was trained on.
            vocabularies: the values that have ids of their own.
            model: the model.
            variables: its variables.
            loss: that it was trained with.
            compute_dtype: that it was trained with; see `training.Task`.
        """
        self.schema, self.model, self.loss = schema, model, loss
        self.variables, self.compute_dtype = variables, compute_dtype
        self.vocabularies = vocabularies
        self.devices = Devices(schema.vocab_size)
        self.step: int | None = None
        predict = self.devices.compile_predict(
            steps.make_predict(model, compute_dtype=compute_dtype)
        )
        self._predict = functools.partial(predict, self.devices.place_whole(variables))

    @classmethod
    def load(
        cls,
        folder: str | pathlib.Path,
        *,
        schema: Schema | None = None,
        step: int | None = None,
        model: type[nn.Module] | None = None,
        loss: Any = None,
    ) -> "Predictor":
        """The predictor of a run.

        Args:
            folder: of the run.
            schema: of the data to predict, if they are encoded; else that of the run.
            step: of the checkpoint; None: the best by the run's monitored metric.
            model: the class of the model, if it is none of this package.
            loss: the loss, if it is none of this package.

        Raises:
            InputError: there is no run, or what it needs is not there, or is damaged; or
                the data are encoded in another way than those of the run.
        """
        run = Run(pathlib.Path(folder))
        config = read_config(run)
        schema = schema or run.read_schema()
        restored = restoring.restore(run, schema, step=step, model=model)
        predictor = cls(
            schema,
            Vocabularies(file=run.vocabularies),
            restored.model,
            restored.variables,
            restoring.loss_of(config, loss),
            compute_dtype=config["compute_dtype"],
        )
        predictor.step = restored.step
        return predictor

    def apply(self, batch: Batch) -> jax.Array:
        """The logits of a batch that is placed on `devices`, float32 [B]."""
        return self._predict(batch)

    def predict(self, frame: Any) -> np.ndarray:
        """The predictions for new rows, float64 [N], in their order.

        Args:
            frame: a frame of polars, pandas or pyarrow, or a mapping of names to arrays,
                with the columns of the training data; a label is not needed, and other
                columns do not matter. Or `Rows` whose ids are made already.

        Returns:
            Probabilities of label 1; under a loss that predicts none, what it predicts.

        Raises:
            InputError: a column is missing, or holds a value that it cannot have.
        """
        return self.loss.predict(self.logits(frame))

    def logits(self, frame: Any) -> np.ndarray:
        """What `predict` makes predictions of, float32 [N]."""
        rows = frame if isinstance(frame, Rows) else self.encode(frame)
        if not len(rows.ids):
            return np.zeros(0, np.float32)
        return evaluation.logits_of(self.apply, self._batches(rows))[0]

    def encode(self, frame: Any) -> Rows:
        """The rows of a frame, as `predict` takes one; labels are 0."""
        from afm_jax.data.formats import frames

        name = "the frame"
        selected = frames.select({name: frame}, self.encoder.columns)
        return self.encoder.rows(selected[name])

    @functools.cached_property
    def encoder(self) -> "FrameEncoder":
        """How frames of new rows become rows.

        Raises:
            InputError: a vocabulary is not known, or is not that of the schema.
        """
        from afm_jax.data.preparation.encoding import FrameEncoder

        return FrameEncoder.load(self.schema, self.vocabularies)

    def _batches(self, rows: Rows) -> Iterator[Batch]:
        """Batches of few sizes, so that few programs are compiled; filled up, weight 0."""
        count, slots = len(rows.ids), len(self.schema.slot_fields)
        ids, size = np.asarray(rows.ids), self.schema.vocab_size
        if ids.dtype.kind not in "iu" or ids.shape[1:] != (slots,):
            raise InputError(
                f"ids of shape {list(ids.shape)} and type {ids.dtype}, expected [rows, {slots}] of a type of whole numbers."
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < size:
            raise InputError(
                f"ids from {ids.min()} to {ids.max()}, expected ids of the table rows, from 0 to {size - 1}."
            )
        size = min(BATCH_SIZE, max(_FEWEST, 1 << (count - 1).bit_length()))
        size = -(-size // self.devices.count) * self.devices.count
        for start in range(0, count, size):
            places = np.arange(start, start + size)
            part = rows.take(places.clip(max=count - 1))
            weights = (places < count).astype(np.float32)
            features = Features(part.ids, part.values, part.dense)
            yield self.devices.place_batch(
                Batch(features, np.zeros(size, np.float32), weights)
            )
