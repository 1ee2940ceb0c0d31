"""Folders that a program has left behind, killed or not."""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator


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
        OSError: it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with contextlib.suppress(OSError):  # Not empty, or never made.
            for path in missing:
                path.rmdir()
