"""Which files a source consists of, and which split each is."""

import pathlib
import re
from typing import NamedTuple

from afm_jax.errors import InputError

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_NOT_DATA = re.compile(r"readme|licen[cs]e|\.(md|pdf|html|json|zip)$", re.IGNORECASE)


class SourceFile(NamedTuple):
    """A file of rows.

    Attributes:
        path: where it is.
        split: the split that its rows are, None if they are still to be split.
    """

    path: pathlib.Path
    split: str | None


def find(source: pathlib.Path, *, to_split: bool) -> list[SourceFile]:
    """Lists the files of a source, in the order of their names.

    In a folder, readme and licence files and hidden files are left out, folders inside
    are not entered, and a file is the split that its name names as a word: train or
    training; validation, valid or val; test. The files are given splits if there are
    some for training and some for validation; test may be absent. A single file, or
    a folder whose files name no split or all name the training split, is to be split.

    Args:
        source: a file or a folder.
        to_split: whether the user asked for the rows to be split.

    Raises:
        InputError: no such file, no files, or files that are neither one set of rows
            nor a training and a validation split.
    """
    if source.is_file():
        return [SourceFile(source, None)]
    if not source.is_dir():
        raise InputError(f"{source} does not exist; --source is a file or a folder.")
    paths = [
        path
        for path in sorted(source.iterdir())
        if path.is_file() and path.name[0] != "." and not _NOT_DATA.search(path.name)
    ]
    if not paths:
        raise InputError(f"{source} holds no data files.")
    splits = {path: _split(path) for path in paths}
    found = set(splits.values())
    if found <= {None, "train"} and len(found) == 1:
        return [SourceFile(path, None) for path in paths]
    told = ", ".join(f"{path.name} ({split or '?'})" for path, split in splits.items())
    if to_split:
        raise InputError(
            f"{source} holds files of several splits: {told}; leave out --split, --fractions and --seed to take them as they are, or name the one file to split."
        )
    if None in found or not {"train", "validation"} <= found:
        raise InputError(
            f"{source} holds {told}; expected files named train, validation and perhaps test. To split one file, name it in --source."
        )
    return [SourceFile(path, split) for path, split in splits.items()]


def _split(path: pathlib.Path) -> str | None:
    words = re.split(r"[^a-z]+", path.name.lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)
