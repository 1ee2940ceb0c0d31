"""Writes a trained model as a folder that predicts without afm_jax.

    python -m experiments.export --workdir=runs/x --output=exported

The folder needs jax and numpy; with --format=numpy, for lr, fm and afm, numpy alone.
"""

import pathlib
import sys
from typing import Any

from absl import flags

from afm_jax.inference import export, predictor
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import own_code, startup
from experiments.cli import program

FLAGS = flags.FlagValues()

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder of the run.", flag_values=FLAGS, required=True
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder to write; it must not exist.",
    flag_values=FLAGS,
    required=True,
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "jax",
    export.FORMATS,
    "'jax' exports any model as StableHLO; 'numpy' exports lr, fm and afm as a formula that needs numpy alone.",
    flag_values=FLAGS,
)
_STEP = flags.DEFINE_integer(
    "step",
    None,
    "Step of the checkpoint; by default the best one of the run.",
    flag_values=FLAGS,
)
_MODEL, _LOSS = own_code.define_flags(FLAGS)


def main() -> dict[str, Any]:
    """Exports as the flags say; returns what was written."""
    startup.prepare()
    workdir, output = pathlib.Path(_WORKDIR.value), pathlib.Path(_OUTPUT.value)
    config = read_config(Run(workdir))
    loaded = predictor.Predictor.load(
        workdir,
        step=_STEP.value,
        model=own_code.of_run("model", config, _MODEL.value),
        loss=own_code.of_run("loss", config, _LOSS.value),
    )
    export.export(loaded, output, format=_FORMAT.value)
    return {
        "model": config["model"],
        "format": _FORMAT.value,
        "output": str(output),
        "files": sorted(path.name for path in output.iterdir()),
        "bytes": sum(path.stat().st_size for path in output.iterdir()),
    }


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
