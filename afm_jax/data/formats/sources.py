"""Which files a source consists of, and which split each is."""

import pathlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
_NOT_DATA = re.compile(
    r"^[._]|readme|licen[cs]e|\.(md|pdf|html|json|zip|crc)$", re.IGNORECASE
)
_PARQUET = (".parquet", ".pq")


class SourceFile(NamedTuple):
    """A file of rows.

    Attributes:
        path: where it is.
        split: the split that its rows are, None if they are still to be split.
    """

    path: pathlib.Path
    split: str | None


def find(
    source: pathlib.Path, *, to_split: bool, fitted: bool = False
) -> list[SourceFile]:
    """Lists the files of a source, in the order of their names.

    A single file is to be split. In a folder, and in the folders inside it, every file
    is data but readme and licence files, checksums, documents, and what begins with a
    dot or an underscore, such as the '_SUCCESS' of Spark. A file is the split that its
    name, or the name of a folder on the way to it, names as a word: train or training;
    validation, valid or val; test. So part files in the folders train, validation and
    test are these splits.

    The files may name:

    - no split, or the training split alone: all rows are to be split;
    - training and test: the training rows are to be split into training and validation;
    - training and validation, and perhaps test: they are taken as they are.

    Where nothing is to be fitted, the files may name any splits, and a single file may
    name one, too. If none is named, all rows are test rows.

    Args:
        source: a file or a folder.
        to_split: whether the user asked for the rows to be split.
        fitted: whether the rows are encoded as others were, so that nothing is fitted.

    Raises:
        InputError: no such file, no files, the same file twice, parquet files beside
            others, or files that are none of the sets above.
    """
    if source.is_file():
        split = _split_word(source.name) or "test" if fitted and not to_split else None
        return [SourceFile(source, split)]
    if not source.is_dir():
        raise InputError(f"{source} does not exist; --source is a file or a folder.")
    paths = list(_data_files(source, ()))
    if not paths:
        raise InputError(f"{source} holds no data files.")
    _require_one_format(paths)
    _refuse_twice(paths)
    splits = {path: _split(path.relative_to(source)) for path in paths}
    found = set(splits.values())
    if fitted and not to_split and (None not in found or len(found) == 1):
        return [SourceFile(path, split or "test") for path, split in splits.items()]
    if len(found) == 1 and found <= {None, "train"}:
        return [SourceFile(path, None) for path in paths]
    if found == {"train", "test"}:
        held = {"train": None, "test": "test"}
        return [SourceFile(path, held[split or ""]) for path, split in splits.items()]
    told = _told({path.relative_to(source): split for path, split in splits.items()})
    if None in found or not {"train", "validation"} <= found:
        raise InputError(
            f"{source} holds {told}; expected files named train, validation and perhaps test. To split one file, name it in --source."
        )
    if to_split:
        raise InputError(
            f"{source} holds files of several splits: {told}; leave out --split, --fractions and --seed to take them as they are, or name the one file to split."
        )
    return [SourceFile(path, split) for path, split in splits.items()]


def require_one_table(
    files: Sequence[SourceFile],
    names: Callable[[pathlib.Path], Collection[str]],
) -> None:
    """Checks that the files of a split have the same columns, in any order.

    Files that differ are not parts of one table, and their rows are not joined.

    Args:
        files: of a source.
        names: gives the names of the columns of a file.

    Raises:
        InputError: two files of one split have different columns.
    """
    first: dict[str | None, tuple[pathlib.Path, set[str]]] = {}
    for file in files:
        columns = set(names(file.path))
        path, expected = first.setdefault(file.split, (file.path, columns))
        for having, lacking, more in (
            (path, file.path, expected - columns),
            (file.path, path, columns - expected),
        ):
            if more:
                raise InputError(
                    f"{lacking} has no column {min(more)!r}, and {having} has one; expected the same columns in all files of one table. Keep each table in a folder of its own."
                )


def _data_files(
    folder: pathlib.Path, above: tuple[pathlib.Path, ...]
) -> Iterator[pathlib.Path]:
    """The data files in a folder and below; `above` are the folders that it lies in."""
    real = folder.resolve()
    if real in above:
        raise InputError(f"{folder} is a link to a folder that it lies in; remove it.")
    for path in sorted(folder.iterdir()):
        if _NOT_DATA.search(path.name):
            continue
        if path.is_dir():
            yield from _data_files(path, (*above, real))
        elif path.is_file():
            yield path
        elif path.is_symlink():
            raise InputError(f"{path} is a link to a file that is not there.")


def _require_one_format(paths: Sequence[pathlib.Path]) -> None:
    """Raises an InputError if some of the files are parquet files and some are not."""
    first = {path.suffix.lower() in _PARQUET: path for path in reversed(paths)}
    if len(first) > 1:
        raise InputError(
            f"{first[True]} is a parquet file and {first[False]} is none; expected files of one format in a folder."
        )


def _refuse_twice(paths: Sequence[pathlib.Path]) -> None:
    """Raises an InputError if a file is there twice, as a link or zipped as well."""
    met: dict[pathlib.Path, pathlib.Path] = {}
    for path in paths:
        real = path.resolve()
        plain = real.with_suffix("") if real.suffix == ".gz" else real
        other = met.setdefault(plain, path)
        if other is not path:
            raise InputError(
                f"{other} and {path} are the same rows twice; expected each row once. Remove one of them."
            )


def _told(splits: Mapping[pathlib.Path, str | None]) -> str:
    """The files of each split in words: the first one, and how many more there are."""
    words = []
    for split in dict.fromkeys(splits.values()):
        first, *others = (path for path, of in splits.items() if of == split)
        more = f" and {len(others)} more" if others else ""
        words.append(f"{first} ({split or '?'}){more}")
    return ", ".join(words)


def _split(path: pathlib.Path) -> str | None:
    """The split that a path inside the source names.

    Raises:
        InputError: a folder names one split and what is in it another.
    """
    named = [split for part in path.parts if (split := _split_word(part))]
    if len(set(named)) > 1:
        raise InputError(
            f"{path} names the splits {' and '.join(dict.fromkeys(named))}; expected one split."
        )
    return named[0] if named else None


def _split_word(name: str) -> str | None:
    words = re.split(r"[^a-z]+", name.lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)
