"""Predictions for the rows of files, part by part and in their order."""

import collections
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from afm_jax.data import formats
from afm_jax.data.preparation.encoding import FrameEncoder, columns_of
from afm_jax.data.preparation.options import stored
from afm_jax.data.preparation.spill import ordered_map
from afm_jax.data.progress import Advance, silent
from afm_jax.errors import InputError
from afm_jax.features import MISSING, UNSEEN, Rows
from afm_jax.inference.predictor import Predictor
from afm_jax.training import evaluation
from afm_jax.training.dataset import check_labels

LOGIT = "logit"

_FEATURES = ("categorical", "numeric", "multi_valued")
"""The options that name the columns of features."""


class Scores:
    """What is known of the rows that were predicted, once all have been taken.

    Attributes:
        rows: their number.
        unseen: for each field, the share of its values that training did not meet or
            met too rarely; shares of 0 are left out.
        missing: in the same way, the share of values that are missing; also of numbers,
            by the names of the dense columns.
    """

    def __init__(self, predictor: Predictor, source: pathlib.Path, *, labelled: bool):
        """Starts without any row of the source."""
        self._predictor, self._source = predictor, source
        self._labelled = labelled
        schema = predictor.schema
        fields = [schema.fields[index] for index in schema.slot_fields]
        self._offsets = np.array([field.offset for field in fields], np.int32)
        self._special = np.zeros((3, len(fields)), np.int64)
        self._missing: collections.Counter[str] = collections.Counter()
        self._kept: dict[str, list[np.ndarray]] = collections.defaultdict(list)
        self.rows = 0

    def add(self, rows: Rows, logits: np.ndarray, missing: Mapping[str, int]) -> None:
        """Takes note of some rows.

        Args:
            rows: the rows.
            logits: of the rows.
            missing: how many of them have no number, by the names of dense columns.

        Raises:
            InputError: a label is none for the loss.
        """
        if self._labelled:
            check_labels(
                rows.labels,
                str(self._source),
                schema=self._predictor.schema,
                loss=self._predictor.loss,
                first_row=self.rows,
            )
        self.rows += len(logits)
        self._missing.update(missing)
        used = (
            np.ones(rows.ids.shape, bool) if rows.values is None else rows.values != 0
        )
        for place, special in enumerate((None, UNSEEN, MISSING)):
            found = (
                used
                if special is None
                else used & (rows.ids == self._offsets + special)
            )
            self._special[place] += found.sum(axis=0)
        if self._labelled:
            # As small as they are exact: the metrics need all rows at once.
            binary = self._predictor.schema.label_kind == "binary"
            labels = rows.labels.astype(np.uint8) if binary else rows.labels
            self._kept["logits"].append(logits)
            self._kept["labels"].append(labels)
            if rows.weights is not None:
                self._kept["weights"].append(rows.weights)

    def result(self) -> dict[str, Any]:
        """'rows', 'unseen', 'missing' and, of rows with labels, 'metrics', else None.

        To be asked for once: what the metrics are computed of is then let go.
        """
        found = self._missing.items()
        numbers = {n: round(count / self.rows, 6) for n, count in found if count}
        metrics = None
        if self._kept:
            columns = {
                name: np.concatenate(self._kept.pop(name)) for name in [*self._kept]
            }
            metrics = evaluation.metrics_of(**columns, loss=self._predictor.loss)
        return {
            "rows": self.rows,
            "unseen": self._shares(1),
            "missing": self._shares(2) | numbers,
            "metrics": metrics,
        }

    def _shares(self, place: int) -> dict[str, float]:
        schema = self._predictor.schema
        slots = np.array(schema.slot_fields)
        found = {}
        for index, field in enumerate(schema.fields):
            values, special = self._special[[0, place]][:, slots == index].sum(axis=1)
            if special:
                found[field.name] = round(float(special / values), 6)
        return found


class Scored(NamedTuple):
    """An opened source of rows to predict.

    Attributes:
        schema: the types of the columns of `frames`, by name.
        frames: the kept columns, the 'probability' (under a loss that predicts none, the
            'prediction') and the 'logit' of each row, in order.
        scores: what is known once all frames have been taken.
    """

    schema: Mapping[str, pl.DataType]
    frames: Iterator[pl.DataFrame]
    scores: Scores


def score(
    predictor: Predictor,
    source: pathlib.Path,
    reader: ModuleType,
    *,
    kept: Sequence[str] = ("*",),
    written: Mapping[str, Any] = MappingProxyType({}),
    advance: Advance = silent,
) -> Scored:
    """Predicts the rows of a file.

    Args:
        predictor: the trained model.
        source: the file.
        reader: of its format, as `afm_jax.data.formats` describes.
        kept: the columns to keep; '*' for all.
        written: options of `formats.dialect` in which the file differs from the training
            data.
        advance: told how many megabytes have been read.

    Raises:
        InputError: the file is not as the training data were: a column is missing, or
            holds a value that it cannot have; in part when frames are taken.
    """
    kept = tuple(kept)
    columns = columns_of(predictor.schema)
    options = {
        **stored(predictor.schema),
        # Of a run whose files had columns without names, their names all the same.
        **{
            role: getattr(columns, role)
            for role in _FEATURES
            if role not in predictor.schema.options
        },
        **written,
        "kept": kept,
    }
    opened = reader.open_reader([source], options)
    encoder = FrameEncoder.load(predictor.schema, predictor.vocabularies, opened.layout)

    dense = [each for each in predictor.schema.dense if each.transform != "missing"]
    none = [pl.col(each.name).fill_nan(None).null_count() for each in dense]

    def encode(part: formats.Part) -> tuple[pl.DataFrame, Rows, dict[str, int]]:
        frame = part.parse()
        rows = encoder.rows(frame)
        if formats.WEIGHT in frame.columns:
            rows = rows._replace(weights=frame[formats.WEIGHT].to_numpy())
        return frame, rows, frame.select(none).row(0, named=True) if none else {}

    def parts() -> Iterator[formats.Part]:
        taken, total = 0, source.stat().st_size / 1e6
        for part in opened.parts(source):
            yield part
            advance("predict", (part.taken - taken) / 1e6, total, "MB")
            taken = part.taken

    part = next(iter(opened.parts(source)), None)
    if part is None:
        raise InputError(f"{source} holds no rows.")
    first = part.parse()
    names = [name for name in first.columns if name.startswith(formats.KEPT)]
    kept_names = [name.removeprefix(formats.KEPT) for name in names]
    if not names and kept not in ((), ("*",)):
        raise InputError(f"{source}: the columns of its format have no names to keep.")
    prediction = "probability" if predictor.loss.probabilities else "prediction"
    for name in (prediction, LOGIT):
        if name in kept_names:
            raise InputError(
                f"{source} has a column {name!r}, which is the name of a result; name the columns to keep by --id."
            )
    scores = Scores(predictor, source, labelled=formats.LABEL in first.columns)

    def frames() -> Iterator[pl.DataFrame]:
        for frame, rows, missing in ordered_map(encode, parts()):
            logits = predictor.logits(rows)
            scores.add(rows, logits, missing)
            columns = [
                frame[name].alias(kept)
                for name, kept in zip(names, kept_names, strict=True)
            ]
            columns.append(pl.Series(prediction, predictor.loss.predict(logits)))
            yield pl.DataFrame([*columns, pl.Series(LOGIT, logits)])

    types = first.select(names).schema
    schema = {name.removeprefix(formats.KEPT): kind for name, kind in types.items()}
    return Scored(
        {**schema, prediction: pl.Float64(), LOGIT: pl.Float32()}, frames(), scores
    )
