"""Files and folders that are there whole or not at all, and who may write into them."""

import contextlib
import ctypes
import fcntl
import logging
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator
from typing import BinaryIO

from afm_jax.errors import InputError

_APART = ".incomplete."
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def written(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A file to fill, which takes the place of `path` once it is whole.

    Whatever happens until then, a file that was there stays as it is. What is no file,
    such as a pipe or a device, is written to where it stands: nothing can take its place.

    Raises:
        InputError: the folder that it is to be in is not there, or takes no files.
        OSError: it cannot be written; names `path`.
    """
    place = path.resolve()  # A link stays one.
    stands = place.exists() and not place.is_file()
    temporary = place if stands else place.with_name(f".{place.name}.incomplete")
    if not place.parent.exists():
        raise InputError(f"{path}: the folder {path.parent} does not exist; make it.")
    try:
        try:
            file = temporary.open("wb")
        except FileNotFoundError:  # such as in /proc
            message = f"{path}: no file can be made in {path.parent}."
            raise InputError(message) from None
        with file:
            yield file
        if not stands:
            temporary.replace(place)
    except BaseException as error:
        if not stands:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextlib.contextmanager
def placed(folder: pathlib.Path, *, overwrite: bool) -> Iterator[pathlib.Path]:
    """A new folder beside `folder`, which takes its place once it has been filled.

    Whatever happens until then, a folder that was there stays as it is. What a killed
    process left of this is removed.

    Args:
        folder: where the new one is to be.
        overwrite: whether there may be one already.

    Raises:
        InputError: there is one, and `overwrite` is False; or the folder above cannot be
            made.
        OSError: the folder above cannot be written to.
    """
    parent = folder.parent
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(made(parent))
        except OSError as error:
            raise InputError(f"{parent} cannot be made: {error.strerror}.") from None
        if replaced(folder).exists() and not folder.exists():
            replaced(folder).rename(folder)
        check_free(folder, overwrite=overwrite)
        stack.enter_context(cleared(parent, f"{_APART}*"))
        new = parent / f"{_APART}{uuid.uuid4().hex}"
        new.mkdir()
        stack.callback(shutil.rmtree, new, ignore_errors=True)
        yield new
        check_free(folder, overwrite=overwrite)
        _take_place(new, folder)


def replaced(folder: pathlib.Path) -> pathlib.Path:
    """Where the folder of this name is for a moment, while another takes its place.

    It stays there if a process is killed in that moment, where the file system cannot
    exchange two folders in one go.
    """
    return folder.with_name(f".{folder.name}.old")


def _take_place(new: pathlib.Path, folder: pathlib.Path) -> None:
    """Renames `new` to `folder`; what was there is then `new`, or gone."""
    if not folder.exists():
        new.rename(folder)
    elif not _exchange(new, folder):
        old = replaced(folder)
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        try:
            new.rename(folder)
        except BaseException:
            old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: pathlib.Path, two: pathlib.Path) -> bool:
    """Swaps two folders in one go; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    paths = os.fsencode(one), os.fsencode(two)
    return (
        rename(
            _AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_RENAME_EXCHANGE)
        )
        == 0
    )


def check_free(folder: pathlib.Path, *, overwrite: bool) -> None:
    """Raises InputError if there is such a folder and `overwrite` is False."""
    if folder.exists() and not overwrite:
        raise InputError(
            f"{folder} exists; give --overwrite to replace it, or --name to keep both."
        )


@contextlib.contextmanager
def cleared(folder: pathlib.Path, pattern: str) -> Iterator[None]:
    """Removes what matches in `folder`, unless a living process is at work there.

    A process counts as at work while it is in this context, which holds a shared lock
    on the folder; the lock goes with the process, however it ends. Where the file
    system has no locks, nothing is removed.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for left in folder.glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def made(folder: pathlib.Path) -> Iterator[None]:
    """Makes the folder; what this makes and leaves empty goes again.

    A folder that was there stays, since another process may be about to write into it.

    Raises:
        InputError: there is a file in its place, or in that of a folder above it.
        OSError: it cannot be made.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; expected a folder, or nothing yet.")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):  # Not empty, or never made.
            for path in missing:
                path.rmdir()


@contextlib.contextmanager
def held(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other processes from holding the folder.

    The lock goes with the process, however it ends. Where the file system has no locks,
    a line in the log says so.

    Raises:
        InputError: another process holds it.
        OSError: it cannot be opened.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder} is in use by another process.") from None
        except OSError:
            _log.warning("%s cannot be locked: use it from one process.", folder)
        yield
    finally:
        os.close(handle)
