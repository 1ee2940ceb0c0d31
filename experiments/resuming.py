"""Going on with a run: the flags that it was trained with, and the command that does it."""

import logging
import pathlib
import shlex
from collections.abc import Iterable

from absl import flags

from afm_jax.errors import InputError
from afm_jax.ops import losses
from afm_jax.training.run.config import read_config
from afm_jax.training.run.folder import Run
from experiments import own_code, workdirs
from experiments.cli import program

_log = logging.getLogger(__name__)


def take_flags(
    flag_values: flags.FlagValues, names: Iterable[str], workdir: pathlib.Path
) -> None:
    """Gives flags that were not given the values of the run in a folder.

    Where there is no run, a log line says that one starts, so that one command serves a
    job that may be killed and started again.

    Args:
        flag_values: the flags, parsed.
        names: of the flags that say what is trained.
        workdir: of the run, which need not exist.

    Raises:
        InputError: the run's config is damaged, or the run cannot go on with a flag that
            was given.
    """
    run = Run(workdir)
    if not run.exists():
        _log.info("--resume: there is no run in %s yet; starting one.", workdir)
        return
    saved = read_config(run)
    for flag in own_code.FLAGS:
        given = flag_values[flag].value if flag_values[flag].present else None
        own_code.check(flag, saved, given)
    names = [name for name in names if name in flag_values]
    for name in names:
        if flag_values[name].present or saved.get(name) is None:
            continue
        try:
            program.set_flag(flag_values, name, saved[name])
            if name == "loss" and not own_code.is_own(saved[name]):
                losses.make(saved[name])
        except InputError as error:
            raise InputError(f"{run.config}: {error}") from None
    workdirs.check_config(workdir, {name: flag_values[name].value for name in names})


def command(workdir: pathlib.Path) -> str:
    """The command that goes on with the run in a folder, as a shell takes it."""
    return shlex.join(
        ["python", "-m", "experiments.train", "--resume", f"--workdir={workdir}"]
    )
