"""What --set=help, --optimizer_set=help and --loss_set=help answer."""

import inspect
from collections.abc import Callable

from absl import flags

from afm_jax import models, settings
from afm_jax.ops import losses
from afm_jax.training import optimizers
from experiments import own_code
from experiments.cli import program


def answer(flag_values: flags.FlagValues) -> None:
    """Ends the program with a list of what can be set, if a flag asks for it.

    Raises:
        program.Answer: a flag asks; it holds the text.
        InputError: the model, optimizer or loss is unknown.
    """
    for flag, describe in {
        "set": lambda: str(models.describe(own_code.load("model", flag_values.model))),
        "optimizer_set": lambda: _settings(
            flag_values.optimizer, optimizers.function_of(flag_values.optimizer)
        ),
        "loss_set": lambda: _settings(
            flag_values.loss,
            losses.make(own_code.load("loss", flag_values.loss)).function,
        ),
    }.items():
        if "help" in (flag_values[flag].value or ()):
            raise program.Answer(describe())


def _settings(name: str, function: Callable[..., object]) -> str:
    found = settings.settable(function)
    lines = [f"  {key}={default!r}" for key, default in found.items()]
    about = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return "\n".join(
        [f"{name}: {about}", "", *(lines or ["  There is nothing to set."])]
    )
