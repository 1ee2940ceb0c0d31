"""Checks the annotations of ops and modules, shapes among them, while tests run.

Users' programs do not check them. Under `jax.jit` they are checked while jax traces.
"""

import functools
import importlib
import inspect
import pkgutil

from beartype import beartype
from flax import linen as nn
from jaxtyping import TypeCheckError, jaxtyped

from afm_jax import modules, ops

_OF_TRAINING = ("afm_jax.ops.losses", "afm_jax.ops.metrics")
"""Without shapes in their annotations."""


@functools.cache
def install():
    """Replaces each public function and each `__call__` by one that is checked."""
    for package in (ops, modules):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if found.name not in _OF_TRAINING:
                _install(importlib.import_module(found.name))


def _install(module):
    for name, member in list(vars(module).items()):
        if getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(member) and not name.startswith("_"):
            setattr(module, name, checked(member))
        elif inspect.isclass(member) and issubclass(member, nn.Module):
            member.__call__ = checked(member.__call__)


def checked(function):
    """The function, which also refuses arguments and results of another annotation.

    An error that the function itself raises for such arguments comes first.
    """
    typed = jaxtyped(function, typechecker=beartype)

    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return typed(*args, **kwargs)
        except TypeCheckError:
            function(*args, **kwargs)
            raise

    return call
