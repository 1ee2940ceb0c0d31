"""A trained model as a folder that predicts without afm_jax.

The folder holds `about.json` (columns, fields, versions, checksums), the vocabularies as
files that NumPy maps, the weights, `predictor.py` with what it needs, and the model: as
StableHLO of any number of rows, for CPUs and NVIDIA GPUs, or as a formula in NumPy.
"""

import dataclasses
import importlib.resources
import json
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.export
import numpy as np
from flax import linen as nn

import afm_jax
from afm_jax import files, models
from afm_jax.data.fields.vocabulary import Vocabulary
from afm_jax.errors import InputError, check_one_of
from afm_jax.features import FIRST, Features, Schema
from afm_jax.inference.exported.predictor_folder import PROGRAM, crc32_of
from afm_jax.inference.exported.predictor_rows import hash64
from afm_jax.inference.predictor import Predictor
from afm_jax.ops.losses import Loss
from afm_jax.training import leaves, steps

if TYPE_CHECKING:
    from afm_jax.data.preparation.encoding import FrameEncoder

FORMATS = ("jax", "numpy")
PLATFORMS = ("cpu", "cuda")

_NUMPY_MODELS = ("lr", "fm", "afm")

_PREDICTIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "sigmoid": lambda logits: 1 / (1 + np.exp(-logits)),
    "clip": lambda logits: np.clip(logits, -1, 1),
    "identity": lambda logits: logits,
}
"""What the reader can do with logits; a loss is one of these, whatever its name."""


def export(
    predictor: Predictor, folder: str | pathlib.Path, *, format: str = "jax"
) -> None:
    """Writes the folder: whole, or after an error or a kill not at all.

    Args:
        predictor: the trained model; its parameters are copied.
        folder: where; it must not exist.
        format: 'jax' for any model; or 'numpy', for lr, fm and afm.

    Raises:
        InputError: the folder exists, the format is unknown or not for this model, or the
            rows cannot be made from columns.
    """
    check_one_of("format", format, FORMATS)
    encoder = predictor.encoder
    target = pathlib.Path(folder)
    if target.exists():
        raise InputError(f"{target} is there already; name another folder.")
    schema = predictor.schema
    weights = leaves.by_name(jax.device_get(predictor.variables))
    slots = len(schema.slot_fields)
    features = {"ids": (slots, "int32"), "dense": (len(schema.dense), "float32")}
    if slots > len(schema.fields):
        features["values"] = (slots, "float32")
    program = None
    if format == "jax":
        dtype = predictor.compute_dtype
        program = make_program(
            predictor.model, predictor.variables, features, compute_dtype=dtype
        )
    about = {
        "format": format,
        "afm_jax": afm_jax.__version__,
        "jax": jax.__version__,
        "platforms": PLATFORMS,
        **_model(predictor, format),
        "prediction": _prediction(predictor.loss),
        "program": {name: getattr(program, name) for name in PROGRAM if program},
        "fields": _fields(schema, encoder),
        "numbers": _numbers(schema),
        "na_values": list(encoder.columns.na_values),
        "weights": list(weights),
    }
    with files.placed(target, overwrite=False) as new:
        for index, array in enumerate(weights.values()):
            np.save(new / f"weights_{index}.npy", np.asarray(array, np.float32))
        for index, field in enumerate(schema.fields):
            vocabulary = encoder.encoding.vocabularies.get(field.name)
            if vocabulary is not None:
                _write_vocabulary(new, index, vocabulary, field.offset)
        if program:
            (new / "model.stablehlo").write_bytes(program.mlir_module_serialized)
        about["files"] = _checksums(new)
        about["crc32"] = crc32_of(about)
        (new / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        reader = importlib.resources.files("afm_jax.inference.exported")
        for file in reader.iterdir():
            if file.name.startswith("predictor") and file.name.endswith(".py"):
                (new / file.name).write_bytes(file.read_bytes())


def _checksums(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Bytes and checksum of each file."""
    found = []
    for path in sorted(folder.iterdir()):
        data = np.memmap(path, np.uint8, "r")
        found.append({"name": path.name, "bytes": data.size, "crc32": zlib.crc32(data)})
    return found


def _model(predictor: Predictor, format: str) -> dict[str, Any]:
    """Name and hyperparameters of the model, which the NumPy formula needs."""
    model = predictor.model
    name = type(model).__module__.rpartition(".")[2]
    if type(model).__module__ != f"{models.__name__}.{name}":
        name = type(model).__name__
    if format == "numpy" and name not in _NUMPY_MODELS:
        raise InputError(
            f"There is no NumPy formula of {name}; format 'numpy' is for {', '.join(_NUMPY_MODELS)}. Export it as 'jax'."
        )
    values = {
        field.name: getattr(model, field.name)
        for field in dataclasses.fields(model)
        if field.name not in ("parent", "name")
    }
    plain = {
        key: value
        for key, value in values.items()
        if isinstance(value, str | int | float | tuple | None)
    }
    return {"model": name, "hyperparameters": plain}


def _prediction(loss: Loss) -> str:
    logits = np.linspace(-3, 3, 13)
    for name, predict in _PREDICTIONS.items():
        if np.allclose(loss.predict(logits), predict(logits), rtol=1e-9):
            return name
    raise InputError(
        f"The predictions of the loss {loss.name} are none of {', '.join(_PREDICTIONS)} of the logits, and cannot be exported."
    )


def _fields(schema: Schema, encoder: "FrameEncoder") -> list[dict[str, Any]]:
    lists = encoder.columns.multi_valued
    separators = dict(zip(lists, encoder.columns.separators, strict=True))
    columns = encoder.columns
    parts = dict(zip(columns.names_of_time_fields, columns.time_fields, strict=True))
    return [
        {
            "column": columns.time if field.name in parts else field.name,
            "time_part": parts.get(field.name, ""),
            "time_unit": (columns.time_unit or "") if field.name in parts else "",
            "kind": encoder.chosen[field.name].kind,
            "offset": field.offset,
            "vocab_size": field.vocab_size,
            "slots": field.slots,
            "boundaries": field.boundaries,
            "separator": separators.get(field.name, ""),
        }
        for field in schema.fields
    ]


def _numbers(schema: Schema) -> list[dict[str, Any]]:
    told = {column.name for column in schema.dense if column.transform == "missing"}
    return [
        {**dataclasses.asdict(column), "tells_missing": column.name in told}
        for column in schema.dense
        if column.transform != "missing"
    ]


def _write_vocabulary(
    folder: pathlib.Path, index: int, vocabulary: Vocabulary, offset: int
) -> None:
    """Values by rising hash: hashes uint64, ids int32, ends of the bytes, the bytes."""
    values = [value.encode() for value in vocabulary.values.to_list()]
    hashes = np.array([hash64(value) for value in values], np.uint64)
    order = np.argsort(hashes, kind="stable")
    in_order = [values[place] for place in order.tolist()]
    ends = np.cumsum([len(value) for value in in_order], dtype=np.int64)
    for part, array in {
        "hashes": hashes[order],
        "ids": (offset + FIRST + order).astype(np.int32),
        "ends": ends,
        "bytes": np.frombuffer(b"".join(in_order), np.uint8),
    }.items():
        np.save(folder / f"vocabulary_{index}.{part}.npy", array)


def make_program(
    model: nn.Module,
    variables: Any,
    widths: Mapping[str, tuple[int, str]],
    *,
    compute_dtype: str = "float32",
) -> jax.export.Exported:
    """(weights by name, features by name) -> logits, of any number of rows.

    Args:
        model: the model.
        variables: its variables, as `leaves.by_name` names them in the program.
        widths: the width and dtype of each array of features.
        compute_dtype: that the model was trained with.
    """
    predict = steps.make_predict(model, compute_dtype=compute_dtype)
    shape, weights = jax.tree.structure(variables), leaves.by_name(variables)
    names = list(weights)

    def logits(weights: Mapping[str, Any], features: Mapping[str, Any]) -> Any:
        given = jax.tree.unflatten(shape, [weights[name] for name in names])
        values = features.get("values")
        return predict(given, Features(features["ids"], values, features["dense"]))

    (rows,) = jax.export.symbolic_shape("rows")
    inputs = {
        name: jax.ShapeDtypeStruct((rows, width), dtype)
        for name, (width, dtype) in widths.items()
    }
    return jax.export.export(jax.jit(logits), platforms=PLATFORMS)(weights, inputs)
