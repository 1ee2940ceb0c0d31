"""Errors that are the machine's, told as one line: a full disk, a file it may not touch."""

import errno
import os
import re

# What libraries raise without an errno: array_record, tensorstore, NumPy, TFDS.
_FULL = re.compile(
    r"No space left on device|requested and \d+ written|Not enough disk space"
)
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED: Out of memory[^\n]*")
# A path that does not exist (ENOENT) is not among them: programs look before they open.
_ERRNOS = (
    # It may not.
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    # It is too much.
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    # The path leads to something else.
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    # Nobody reads any more what is written.
    errno.EPIPE,
    # The disk or the network is broken.
    errno.EIO,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ETIMEDOUT,
)


def explain(error: BaseException) -> str | None:
    """One line for an error, or what led to it, that is the machine's; else None."""
    link: BaseException | None = error
    while link is not None:
        told = _explain(link)
        if told is not None:
            return told
        hidden = link.__suppress_context__
        link = link.__cause__ or (None if hidden else link.__context__)
    return None


def _explain(error: BaseException) -> str | None:
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or _FULL.search(str(error)):
        return f"{_where(error)}No space left on device; make some, or write elsewhere."
    if isinstance(error, OSError) and number in _ERRNOS:
        return f"{_where(error)}{os.strerror(number)}."
    memory = _OUT_OF_MEMORY.search(str(error))
    if memory or isinstance(error, MemoryError):
        return f"Out of memory: {memory[0] if memory else error}"
    return None


def _where(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if name else ""
