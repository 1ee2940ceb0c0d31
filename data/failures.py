"""Errors that are the machine's, told as one line: a full disk, a file it may not touch."""

import errno
import os
import re

# What libraries raise without an errno: array_record, tensorstore, NumPy, TFDS.
_FULL = re.compile(
    r"No space left on device|requested and \d+ written|Not enough disk space"
)
_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED: Out of memory[^\n]*")
_ERRNOS = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO),
    *(errno.ENOSPC, errno.EDQUOT),
)


def explain(error: BaseException) -> str | None:
    """One line for an error, or what led to it, that is the machine's; else None."""
    link: BaseException | None = error
    while link is not None:
        number = getattr(link, "errno", None)
        if number == errno.ENOSPC or _FULL.search(str(link)):
            return (
                f"{_where(link)}No space left on device; make some, or write elsewhere."
            )
        if isinstance(link, OSError) and number in _ERRNOS:
            return f"{_where(link)}{os.strerror(number)}."
        memory = _OUT_OF_MEMORY.search(str(link))
        if memory or isinstance(link, MemoryError):
            return f"Out of memory: {memory[0] if memory else link}"
        hidden = link.__suppress_context__
        link = link.__cause__ or (None if hidden else link.__context__)
    return None


def _where(error: BaseException) -> str:
    name = getattr(error, "filename", None)
    return f"{name}: " if name else ""
