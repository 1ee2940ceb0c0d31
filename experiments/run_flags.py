"""The flags of programs that work on a run: its folder, a checkpoint, and own code in it."""

import pathlib
from typing import Any, NamedTuple

from absl import flags

from afm_jax.features import Schema
from afm_jax.inference.predictor import Predictor
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import own_code


class RunFlags(NamedTuple):
    """The flags, which have values once they are parsed.

    Attributes:
        workdir: the folder of the run.
        step: of the checkpoint, or None for the best one.
        model: the class of the model, if it is own code.
        loss: the loss, if it is own code.
    """

    workdir: flags.FlagHolder[str]
    step: flags.FlagHolder[int | None]
    model: flags.FlagHolder[str | None]
    loss: flags.FlagHolder[str | None]

    @property
    def run(self) -> Run:
        """The run."""
        return Run(pathlib.Path(self.workdir.value))

    def config(self) -> dict[str, Any]:
        """The config of the run; raises InputError as `read_config`."""
        return read_config(self.run)

    def own_model(self) -> Any:
        """As `own_code.of_run`."""
        return own_code.of_run("model", self.config(), self.model.value)

    def own_loss(self) -> Any:
        """As `own_code.of_run`."""
        return own_code.of_run("loss", self.config(), self.loss.value)

    def predictor(self, schema: Schema | None = None) -> Predictor:
        """The predictor of the checkpoint; raises InputError as `Predictor.load`."""
        loss, model = self.own_loss(), self.own_model()
        return Predictor.load(
            self.run.path, schema=schema, step=self.step.value, model=model, loss=loss
        )


def define(flag_values: flags.FlagValues) -> RunFlags:
    """Defines the flags."""
    return RunFlags(
        flags.DEFINE_string(
            "workdir",
            None,
            "Folder of the run.",
            flag_values=flag_values,
            required=True,
        ),
        flags.DEFINE_integer(
            "step",
            None,
            "Step of the checkpoint. If not given, it is the best one of the run.",
            flag_values=flag_values,
        ),
        *(
            flags.DEFINE_string(
                flag,
                None,
                f"The {flag} of the run, needed only if it is code of yours, such as my_file.py:Name.",
                flag_values=flag_values,
            )
            for flag in own_code.FLAGS
        ),
    )
