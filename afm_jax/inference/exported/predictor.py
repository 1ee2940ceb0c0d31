"""Predictions of the exported model beside this file, from raw values.

    from predictor import Predictor

    model = Predictor("the folder")
    model.predict({"user": 3, "item": "i7", "price": 1.5})      # a row: a number
    model.predict([{"user": 3, ...}, {"user": 4, ...}])         # rows: an array
    model.predict({"user": [3, 4], "item": ["i7", "i8"], ...})  # columns: an array

If all columns of a model hold lists, put a single row into a list, too.
None, NaN and '' are missing values. A value that training did not meet counts as unseen.
"""

import dataclasses
import functools
import pathlib

import numpy as np
import predictor_formula
import predictor_times
from predictor_folder import PROGRAM, Folder, FolderError, told
from predictor_rows import Encoder

SIZES = (1, 8, 64, 1024)  # of batches: more rows are cut, fewer are filled up


class Predictor:
    """The model of an exported folder; `predict` may be called from several threads.

    Raises FolderError, a RuntimeError of one line: the folder is damaged, or is for another
    jax or another device.
    """

    def __init__(self, folder=pathlib.Path(__file__).parent):
        folder = Folder(folder)
        self.about = folder.about
        columns = [field["column"] for field in self.about["fields"]]
        columns += [column["name"] for column in self.about["numbers"]]
        self.columns = list(dict.fromkeys(columns))
        self._encode = Encoder(folder, predictor_times.reader)
        make = numpy_model if self.about["format"] == "numpy" else jax_model
        self._compute = make(folder, self._encode)

    def predict(self, rows):
        """Predictions, float64: a number for a row, else [N]; as a rule probabilities."""
        logits = self.logits(rows).astype(np.float64)
        if self.about["prediction"] == "sigmoid":
            logits = np.exp(-np.logaddexp(0.0, -logits))
        elif self.about["prediction"] == "clip":
            logits = np.clip(logits, -1.0, 1.0)
        return float(logits[0]) if self._is_row(rows) else logits

    def logits(self, rows):
        """What `predict` makes predictions of, float32 [N].

        Raises ValueError, in one line, for a column that is missing and for a value that
        its column cannot have.
        """
        columns = self._columns_of(rows)
        count = len(next(iter(columns.values())))
        logits = np.empty(count, np.float32)
        for start in range(0, count, SIZES[-1]):
            stop = min(start + SIZES[-1], count)
            part = {name: each[start:stop] for name, each in columns.items()}
            features = self._encode(part, start)
            logits[start:stop] = self._compute(filled(features))[: stop - start]
        return logits

    def _is_row(self, rows):
        given = map(rows.get, self.columns) if isinstance(rows, dict) else ()
        return not all(map(_is_column, given))

    def _columns_of(self, rows):
        try:
            if isinstance(rows, dict) and not self._is_row(rows):
                columns = {name: _listed(rows[name]) for name in self.columns}
            else:
                listed = [rows] if isinstance(rows, dict) else rows
                columns = {name: [row[name] for row in listed] for name in self.columns}
        except KeyError as error:
            name = error.args[0]
            raise ValueError(
                f"column {name!r} is not there; None stands for a missing value"
            ) from None
        except TypeError:
            raise ValueError("expected a row, a list of rows, or columns") from None
        if len({len(column) for column in columns.values()}) > 1:
            raise ValueError("the columns are of different lengths")
        return columns


def _is_column(value):
    """Whether it is a list or the like: an array or a series has a shape."""
    return isinstance(value, (list, tuple)) or getattr(value, "shape", ()) != ()


def _listed(column):
    return column if isinstance(column, (list, tuple, np.ndarray)) else list(column)


def filled(features):
    """The features of the next of SIZES; the last row is repeated."""
    count = len(features["ids"])
    size = next(size for size in SIZES if size >= count)
    if size == count:
        return features
    places = np.minimum(np.arange(size), count - 1)
    return {name: each[places] for name, each in features.items()}


def jax_model(folder, encoder):
    """The function (features, float32 [B]) of the StableHLO in the folder."""
    import jax
    from jax import export

    about = folder.about
    platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
    if platform not in about["platforms"]:
        what = f"{folder.path} was exported for {' and '.join(about['platforms'])}"
        raise FolderError(f"{what}, not for {platform}; set JAX_PLATFORMS=cpu.")
    (rows,) = export.symbolic_shape("rows")
    inputs = {
        name: jax.ShapeDtypeStruct((rows, width), dtype)
        for name, (width, dtype) in encoder.features.items()
    }
    program = {name: about["program"][name] for name in PROGRAM}
    program["module_kept_var_idx"] = tuple(program["module_kept_var_idx"])
    program["mlir_module_serialized"] = folder.read("model.stablehlo")
    weights = jax.device_put(folder.weights())
    what = f"the program of jax {about['jax']} cannot be used by jax {jax.__version__}"
    with told(f"{folder.path}: {what}"):
        # All that a version of jax has its own way of stays out of the folder: it is
        # taken from another function of the same arguments.
        other = export.export(
            jax.jit(lambda w, f: f["dense"].sum(axis=1)), platforms=about["platforms"]
        )
        call = jax.jit(dataclasses.replace(other(weights, inputs), **program).call)
        call(weights, encoder.example()).block_until_ready()
    return lambda features: np.asarray(call(weights, features))


def numpy_model(folder, encoder):
    """The same function without jax."""
    about, weights = folder.about, folder.weights()
    compute = functools.partial(predictor_formula.logits, about, weights)
    with told(folder.path):
        compute(encoder.example())
    return compute
