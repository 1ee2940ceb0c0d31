"""What a checkpoint is on disk, and whether it is as it was written.

A checkpoint is two Orbax items: `state`, the leaves of the state by name, and `about`,
one JSON text with its crc32: what Orbax does not check, shape, dtype and crc32 of every
leaf, beside what else is told of the state.
"""

import errno
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import orbax.checkpoint as ocp

from afm_jax.training import leaves

# What the machine, not the file, is at fault for: another try may go well.
_TRANSIENT = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN),
        *(errno.EACCES, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT),
    }
)


class DamageError(Exception):
    """A checkpoint's files are not as they were written."""


def save(
    manager: ocp.CheckpointManager,
    step: int,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> bool:
    """Copies the arrays, then writes a checkpoint in the background.

    Args:
        manager: of the folder.
        step: of the checkpoint.
        arrays: the leaves of the state by name.
        about: further JSON values, beside which `read_about` gives 'leaves', their
            descriptions by name.

    Returns:
        Whether Orbax saves this step: one above all that there are.
    """
    described = {name: leaves.describe(array) for name, array in arrays.items()}
    text = json.dumps({"leaves": described, **about})
    return manager.save(
        step,
        args=ocp.args.Composite(
            # Orbax refuses arrays of size 0.
            state=ocp.args.PyTreeSave({k: v for k, v in arrays.items() if v.size}),
            about=ocp.args.JsonSave({"text": text, "crc32": zlib.crc32(text.encode())}),
        ),
    )


def read_about(manager: ocp.CheckpointManager, step: int) -> Any:
    """What was told of the state, and 'leaves', the description of each by name.

    Raises:
        DamageError: it is not what was written.
        OSError: the machine, at the moment, cannot read a file that may be whole.
    """
    item = _read(manager, step, about=ocp.args.JsonRestore())
    text = item.get("text", "")
    if item.get("crc32") != zlib.crc32(text.encode()):
        raise DamageError("its description is not what was written")
    return json.loads(text)


def read_leaf(
    manager: ocp.CheckpointManager, step: int, name: str, saved: leaves.Description
) -> np.ndarray:
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
    array = _read(manager, step, state=args)[name]
    if leaves.describe(array) != saved:
        raise DamageError(f"{name} is not what was written")
    return array


def _read(
    manager: ocp.CheckpointManager, step: int, **item: ocp.args.CheckpointArgs
) -> Any:
    try:
        items = manager.restore(step, args=ocp.args.Composite(**item))
        (value,) = items.values()
    except MemoryError:
        raise
    except Exception as error:  # Whatever a parser of damaged files may meet.
        if isinstance(error, OSError) and error.errno in _TRANSIENT:
            raise
        raise DamageError(f"{error}".partition("\n")[0]) from error
    return value
