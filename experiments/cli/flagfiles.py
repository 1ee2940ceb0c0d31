"""Presets: files of flags, in a folder for each data set."""

import os
import pathlib

PRESETS = pathlib.Path(__file__).parents[1] / "presets"


def missing(path: str | pathlib.Path) -> str:
    """One line for a file of flags that is not there; it names the preset of that name.

    Presets were all in `experiments/flagfiles` before.
    """
    found = next(PRESETS.rglob(pathlib.Path(path).name), None)
    if found is None:
        return f"there is no file {path}."
    return (
        f"there is no file {path}; the preset of that name is {os.path.relpath(found)}."
    )
