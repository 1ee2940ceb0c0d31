"""What --set=help, --optimizer_set=help and --loss_set=help answer."""

import inspect
from collections.abc import Callable, Iterable

from absl import flags

from afm_jax import hyperparameters, models
from afm_jax.ops import losses
from afm_jax.training import optimizers
from experiments import own_code
from experiments.cli import program


def answer(told: Iterable[str]) -> None:
    """Ends the program with these texts, each once, if there are any.

    Raises:
        program.Answer: there are; it holds the text.
    """
    texts = dict.fromkeys(told)
    if texts:
        raise program.Answer("\n\n".join(texts))


def told(flag_values: flags.FlagValues) -> list[str]:
    """What can be set, for each flag of experiments.train that asks for it.

    Raises:
        InputError: the model, optimizer or loss is unknown.
    """
    describe: dict[str, Callable[[], str]] = {
        "set": lambda: str(models.describe(own_code.load("model", flag_values.model))),
        "optimizer_set": lambda: _of_function(
            flag_values.optimizer, optimizers.function_of(flag_values.optimizer)
        ),
        "loss_set": lambda: _of_function(
            flag_values.loss,
            losses.make(own_code.load("loss", flag_values.loss)).function,
        ),
    }
    return [
        describe[flag]()
        for flag in describe
        if "help" in (flag_values[flag].value or ())
    ]


def _of_function(name: str, function: Callable[..., object]) -> str:
    lines = [
        f"  {each.name}={each.default!r}: {each.expected}"
        for each in hyperparameters.of_function(function)
    ]
    about = (inspect.getdoc(function) or "").partition("\n\n")[0]
    return "\n".join(
        [f"{name}: {about}", "", *(lines or ["  There is nothing to set."])]
    )
