"""Writes a trained model as a folder that predicts without afm_jax.

    python -m experiments.export --workdir=runs/x --output=exported

The folder needs jax and numpy; with --format=numpy, for lr, fm and afm, numpy alone.
"""

import pathlib
import sys
from typing import Any

from absl import flags

from afm_jax.inference import export
from experiments import run_flags, startup
from experiments.cli import program

FLAGS = flags.FlagValues()

_RUN = run_flags.define(FLAGS)
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


def main() -> dict[str, Any]:
    """Exports as the flags say; returns what was written."""
    startup.prepare()
    output = pathlib.Path(_OUTPUT.value)
    export.export(_RUN.predictor(), output, format=_FORMAT.value)
    return {
        "model": _RUN.config()["model"],
        "format": _FORMAT.value,
        "output": str(output),
        "files": sorted(path.name for path in output.iterdir()),
        "bytes": sum(path.stat().st_size for path in output.iterdir()),
    }


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
