"""What a checkpoint is on disk, and whether it is as it was written.

A checkpoint is a folder of two Orbax items: `state`, the leaves of the state by name, and
`about`, one JSON text with its crc32: what Orbax does not check, shape, dtype and crc32 of
every leaf, beside a description of the state.
"""

import errno
import json
import logging
import os
import pathlib
import re
import shutil
import zlib
from collections.abc import Container, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging as absl_logging

from afm_jax.training import leaves

# What the machine, not the file, is at fault for: another try may go well.
_TRANSIENT = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EPERM,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)

_OS_ERROR = re.compile(r"os_error_code='(\d+)'")

_STEP = re.compile("0|[1-9][0-9]*")
"""The name of a folder of a checkpoint."""

_CHUNK_BYTES = 16 << 20
"""What is compressed at once, by one thread; a leaf of more is several of these."""


class DamageError(Exception):
    """A checkpoint's files are not as they were written."""


def quiet_orbax() -> None:
    """Drops the some fifty INFO lines that Orbax logs at every save, and tracebacks.

    What makes a save fail is raised by it; Orbax logs it several times.
    """
    absl_logging.get_absl_logger().addFilter(_is_no_chatter)


def _is_no_chatter(record: logging.LogRecord) -> bool:
    from_orbax = "orbax" in record.pathname
    return not from_orbax or (record.levelno >= logging.WARNING and not record.exc_info)


def complete(directory: pathlib.Path) -> list[int]:
    """The steps of the checkpoints in a folder, which need not exist, rising.

    Raises:
        OSError: the folder cannot be read, at the moment or by this user.
    """
    # Not `glob`, for which a folder that cannot be read is empty.
    paths = directory.iterdir() if directory.is_dir() else ()
    names = [path.name for path in paths if path.is_dir()]
    return sorted(int(name) for name in names if _STEP.fullmatch(name))


def unfinished(directory: pathlib.Path) -> list[pathlib.Path]:
    """What killed processes left half-written, or half-deleted, in a folder."""
    return [*directory.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*")]


def remove(folder: pathlib.Path) -> None:
    """Deletes a checkpoint; from the first moment on, it does not count as one."""
    unfinished = folder.with_name(folder.name + ocp.utils.TMP_DIR_SUFFIX)
    folder.rename(unfinished)
    shutil.rmtree(unfinished)


def write(
    folder: pathlib.Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Writes a checkpoint; the folder gets its name once it is complete.

    Args:
        folder: of the checkpoint, which does not exist.
        arrays: the leaves of the state by name; must not change until this returns.
        about: further JSON values, beside which `read_about` gives 'leaves', their
            descriptions by name.

    Raises:
        OSError: the disk does not take it; nothing of it is left, if it lets that go.
    """
    described = {name: leaves.describe(array) for name, array in arrays.items()}
    text = json.dumps({"leaves": described, **about})
    # Orbax refuses arrays of size 0.
    state = {name: array for name, array in arrays.items() if array.size}
    chunked = dict.fromkeys(state, ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES))
    items = ocp.args.Composite(
        state=ocp.args.PyTreeSave(state, save_args=chunked),
        about=ocp.args.JsonSave({"text": text, "crc32": zlib.crc32(text.encode())}),
    )
    try:
        with _checkpointer() as checkpointer:
            checkpointer.save(folder, args=items)
    except Exception as error:
        for path in unfinished(folder.parent):
            shutil.rmtree(path, ignore_errors=True)
        _raise_if_of_the_machine(error, folder)
        raise


def read_about(folder: pathlib.Path) -> Any:
    """The description of the state, and 'leaves', the description of each by name.

    Raises:
        DamageError: it is not what was written.
        OSError: the machine, at the moment, cannot read a file that may be whole.
    """
    item = _read(folder, about=ocp.args.JsonRestore())
    text = item.get("text", "")
    if item.get("crc32") != zlib.crc32(text.encode()):
        raise DamageError("its description is not what was written")
    return json.loads(text)


def read_leaf(folder: pathlib.Path, name: str, saved: leaves.Description) -> np.ndarray:
    """One leaf of the state, which `saved` describes; raises as `read_about`."""
    # One at a time: when one of several reads fails, Orbax leaves the others behind
    # and prints a traceback for each.
    example = np.empty(saved["shape"], saved["dtype"])
    if not example.size:
        return example
    args = ocp.args.PyTreeRestore(
        {name: example},
        restore_args={name: ocp.RestoreArgs(restore_type=np.ndarray)},
        partial_restore=True,
    )
    array = _read(folder, state=args)[name]
    if leaves.describe(array) != saved:
        raise DamageError(f"{name} is not what was written")
    return array


def _read(folder: pathlib.Path, **item: ocp.args.CheckpointArgs) -> Any:
    try:
        with _checkpointer() as checkpointer:
            items = checkpointer.restore(folder, args=ocp.args.Composite(**item))
        (value,) = items.values()
    except MemoryError:
        raise
    except Exception as error:  # Whatever a parser of damaged files may meet.
        _raise_if_of_the_machine(error, folder, _TRANSIENT)
        raise DamageError(f"{error}".partition("\n")[0]) from error
    return value


def _raise_if_of_the_machine(
    error: Exception, folder: pathlib.Path, numbers: Container[int] = errno.errorcode
) -> None:
    """Raises what the machine said, of these numbers, as OSError: TensorStore does not."""
    found = _OS_ERROR.search(str(error))
    number = int(found[1]) if found else getattr(error, "errno", None) or 0
    if number in numbers:
        where = getattr(error, "filename", None) or str(folder)
        raise OSError(number, os.strerror(number), where) from error


class _OneByOne(ocp.type_handlers.NumpyHandler):
    """Writes one array after the other, each from where it is.

    Orbax copies all of them and writes them at once: memory for all of them compressed,
    too, and a traceback for each that a full disk does not take.
    """

    def __init__(self) -> None:
        super().__init__(deepcopy_host_arrays=False)

    async def serialize(self, values, infos, args=None):
        for each in zip(values, infos, args, strict=True):
            for written in await super().serialize(*([part] for part in each)):
                written.result()
        return []


def _checkpointer() -> ocp.Checkpointer:
    """Reads and writes in the caller's thread; what fails leaves no thread behind.

    Where Orbax makes folders in the background, threads that would write into them wait
    for minutes after it failed, and keep the process.
    """
    kinds = ocp.type_handlers.create_type_handler_registry(
        (np.ndarray, _OneByOne()), (jax.Array, ocp.type_handlers.ArrayHandler())
    )
    return ocp.Checkpointer(
        ocp.CompositeCheckpointHandler(
            composite_options=ocp.CompositeOptions(
                async_options=ocp.options.AsyncOptions(
                    create_directories_asynchronously=False
                )
            ),
            state=ocp.PyTreeCheckpointHandler(type_handler_registry=kinds),
            about=ocp.JsonCheckpointHandler(),
        )
    )
