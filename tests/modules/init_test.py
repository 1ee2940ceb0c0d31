import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest
from flax import linen as nn

from afm_jax import models, modules

CLASSES = [
    cls
    for package in (modules, models)
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    for _, cls in inspect.getmembers(
        importlib.import_module(found.name), inspect.isclass
    )
    if issubclass(cls, nn.Module) and cls.__module__ == found.name
]


@pytest.mark.parametrize(
    "cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}"
)
def test_each_attribute_of_a_module_has_a_sentence(cls):
    fields = [field.name for field in dataclasses.fields(cls)]
    attributes = inspect.getdoc(cls).partition("\nAttributes:\n")[2]
    sentences = re.findall(
        r"^    (\w+): (.*(?:\n        .*)*)", attributes, re.MULTILINE
    )
    assert [name for name, _ in sentences] == [
        name for name in fields if name not in ("parent", "name")
    ]
    for name, sentence in sentences:
        text = " ".join(sentence.split())
        assert re.match(r"[A-Z\'].*\.$", text), name
        assert len(text.split()) > 3, name
