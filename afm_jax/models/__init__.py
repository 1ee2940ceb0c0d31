"""One paper a file, each with a Flax module `Model`: features in, logits out.

A new file in this folder is a new model, with no other line anywhere: `names` lists the
folder, `make` checks hyperparameters by the fields of the file's `Model` (see
`afm_jax.hyperparameters`), and `describe` reads what the file says of it. The file's first
line is the model's title and, in brackets, its paper. The docstring of `Model` begins with
the formula and ends with the paragraphs `Extra parameters:` and `Cost of a row:` and a
sentence for each hyperparameter under `Attributes:`.

An MLP without hidden layers is the identity, where a model does not say that it then has
none.
"""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable
from typing import Any

from flax import linen as nn

from afm_jax import hyperparameters
from afm_jax.errors import InputError, check_type, did_you_mean
from afm_jax.features import Schema
from afm_jax.hyperparameters import Hyperparameter

LETTERS = {
    "F, D": "the number of fields and the number of dense columns",
    "P": "F (F - 1) / 2, the number of pairs of fields",
    "k": "`embedding_dim`, the width of an embedding vector",
    "v_i, x_i": "the vector and the value of field i",
    "w_0, w_i": "the bias and the first-order weight of field i; the dense columns have"
    " first-order weights, too",
    "d": "the D numbers of the dense columns",
    "*": "the product element by element",
    "n": "F k + D, the width of [v_1 x_1, ..., v_F x_F, d]",
    "MLP": "hidden layers of widths h_1, h_2, ...",
    "M(m)": "m h_1 + h_1 h_2 + ..., the weights of an MLP over m numbers",
    "L": "the number of identical layers",
    "r, t": "hyperparameters that the model's list names",
    "Extra parameters": "what the model has beyond w_0, w_i and k numbers per feature,"
    " without biases, scales and output layers",
    "Cost of a row": "multiplications of the forward pass, without look-ups and output"
    " layers",
}
"""What the letters and words of a `Description` stand for."""

# Every model has these; programs take them from the data, not from a user.
_FROM_DATA = ("vocab_size", "slot_fields")


def names() -> tuple[str, ...]:
    """Names of all models, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def make(
    name: str | type[nn.Module], /, *, schema: Schema | None = None, **values: Any
) -> nn.Module:
    """The model of that name, or of a class of your own.

    Lists are taken for tuples and whole numbers for floats where those are expected.

    Args:
        name: one of `names()`; or a class that keeps their contract, see
            `afm_jax.testing.check_model`.
        schema: of the data, from which `vocab_size` and, if a field has several slots,
            `slot_fields` are taken.
        **values: hyperparameters, fields of the model; without a schema `vocab_size`
            is needed.

    Returns:
        A module with `__call__(features, *, train=False) -> logits float32 [B]`.

    Raises:
        InputError: no model has this name, the model has no such hyperparameter, it
            comes from the schema, a value is of the wrong type or out of range, or one
            that is needed is missing, such as `schema` and `vocab_size` both.
    """
    model = _class_of(name)
    name = name if isinstance(name, str) else name.__name__
    data = {key: values.pop(key) for key in _FROM_DATA if key in values}
    if schema is not None:
        check_type("schema", schema, Schema, "a Schema, such as store.schema")
        for key in data:
            raise InputError(f"{name}'s {key} comes from the data.")
        data["vocab_size"] = schema.vocab_size
        if len(schema.slot_fields) > len(schema.fields):
            data["slot_fields"] = schema.slot_fields
    known = hyperparameters.of_class(model)
    given = hyperparameters.check(name, known, data)
    given |= hyperparameters.check(name, _settable(known), values)
    for each in known:
        if each.default is dataclasses.MISSING and each.name not in given:
            advice = "schema=store.schema" if each.name in _FROM_DATA else each.name
            raise InputError(f"{name} needs {each.name}; give {advice}.")
    return model(**given)


@dataclasses.dataclass(frozen=True)
class Description:
    """What a model's file says of it; `str` makes a page of text.

    Attributes:
        name: Name of the model, one of `names()`.
        title: What the model is called, such as 'Factorization machine'.
        paper: Authors and year, such as 'Rendle 2010'; '' if there is no paper.
        formula: The logits; `LETTERS` has the letters.
        notes: Paragraphs on the letters that are the model's own, and on departures from
            the paper.
        extra_parameters: Number of parameters beyond those of an embedding table and
            first-order weights.
        cost: Multiplications of a row in the forward pass.
        hyperparameters: What a user may set.
    """

    name: str
    title: str
    paper: str
    formula: str
    notes: tuple[str, ...]
    extra_parameters: str
    cost: str
    hyperparameters: tuple[Hyperparameter, ...]

    def __str__(self) -> str:
        paper = f" ({self.paper})" if self.paper else ""
        lines = [
            f"{self.name}: {self.title}{paper}",
            "",
            self.formula,
            "",
            f"Extra parameters: {self.extra_parameters}",
            f"Cost of a row: {self.cost}",
            "",
            "Hyperparameters:",
        ]
        for each in self.hyperparameters:
            lines.append(f"  {each.name}={each.default!r}: {each.expected}")
            lines.append(f"      {each.meaning}")
        letters = [f"  {letter}: {meaning}" for letter, meaning in LETTERS.items()]
        return "\n".join([*lines, "", "Letters:", *letters])


def describe(model: str | type[nn.Module], /) -> Description:
    """What the model is and which hyperparameters it has, read from its docstrings.

    Args:
        model: one of `names()`; or a class of your own.

    Raises:
        InputError: no model has this name.
    """
    name, model = model, _class_of(model)
    name = name if isinstance(name, str) else name.__name__
    title = re.fullmatch(
        r"(.*?)(?: \((.*)\))?\.", (sys.modules[model.__module__].__doc__ or "").strip()
    )
    prose, _, attributes = (inspect.getdoc(model) or "").partition("\nAttributes:\n")
    formula, *notes = (" ".join(part.split()) for part in prose.strip().split("\n\n"))
    sizes = {
        heading: " ".join(
            note.removeprefix(f"{heading}: ").removesuffix(".")
            for note in notes
            if note.startswith(f"{heading}: ")
        )
        for heading in ("Extra parameters", "Cost of a row")
    }
    meanings = {
        attribute: " ".join(meaning.split())
        for attribute, meaning in re.findall(
            r"^    (\w+): (.*(?:\n        .*)*)", attributes, re.MULTILINE
        )
    }
    return Description(
        name=name,
        title=title[1] if title else name,
        paper=(title[2] or "") if title else "",
        formula=formula.removesuffix("."),
        notes=tuple(note for note in notes if not note.startswith(tuple(sizes))),
        extra_parameters=sizes["Extra parameters"],
        cost=sizes["Cost of a row"],
        hyperparameters=tuple(
            each._replace(meaning=meanings.get(each.name, ""))
            for each in _settable(hyperparameters.of_class(model))
        ),
    )


def _class_of(model: str | type[nn.Module]) -> type[nn.Module]:
    if isinstance(model, type) and issubclass(model, nn.Module):
        return model
    check_type("model", model, str, "a name, or a class of Flax modules")
    if model not in names():
        raise InputError(
            f"Unknown model {model!r}; choose from {names()}.{did_you_mean(model, names())}"
        )
    return importlib.import_module(f"{__name__}.{model}").Model


def _settable(known: Iterable[Hyperparameter]) -> tuple[Hyperparameter, ...]:
    """Those that a user may set."""
    return tuple(each for each in known if each.name not in _FROM_DATA)
