"""Files of a store: arrays that are appended to and mapped, and their checksums.

A manifest beside the files holds the size and the crc32 of each, and a crc32 of its own.
"""

import json
import pathlib
import tokenize
import zlib
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from afm_jax.errors import InputError

MANIFEST_FILE = "manifest.json"

NOT_AS_WRITTEN = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    EOFError,
    MemoryError,
)
"""What reading a file raises if it does not hold what we write."""

_PIECE = 1 << 24
"""Bytes that a checksum reads at once."""


class FileEntry(TypedDict):
    """What the manifest says of a file.

    Attributes:
        bytes: its size.
        crc32: the checksum of all its bytes.
    """

    bytes: int
    crc32: int


class ArrayFile:
    """A .npy file that grows along its first axis.

    Args:
        path: of the file, which must not exist.
        dtype: of the array, such as '<i4'.
        shape: of one row of it; () for numbers.
    """

    def __init__(self, path: pathlib.Path, dtype: str, shape: tuple[int, ...] = ()):
        self._dtype, self._shape, self._length = np.dtype(dtype), shape, 0
        self._file = path.open("xb")
        self._write_header()

    def append(self, array: np.ndarray) -> None:
        """Adds rows, [n, *shape]; they are cast to the dtype of the file."""
        self._file.write(np.ascontiguousarray(array, self._dtype).data)
        self._length += len(array)

    def close(self) -> None:
        """Writes down how long the array has become, and closes the file."""
        with self._file:
            self._file.seek(0)
            self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow.
        header = {
            "descr": self._dtype.str,
            "fortran_order": False,
            "shape": (self._length, *self._shape),
        }
        np.lib.format.write_array_header_1_0(self._file, header)


def map_array(path: pathlib.Path, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array of a .npy file, mapped into memory, read-only.

    Args:
        path: of the file.
        shape: that it must have; -1 for a first axis of any length.
        dtype: that it must have.

    Raises:
        InputError: no such file, or it holds anything but this shape and dtype.
        OSError: the file may not be read.
    """
    try:
        with np.errstate(over="raise"):  # of a shape that no file can have
            mapped = np.lib.format.open_memmap(path, mode="r")
        if mapped.offset + mapped.nbytes != path.stat().st_size:
            raise ValueError("it is not as long as its header says")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; prepare the data again.") from None
    except (*NOT_AS_WRITTEN, ArithmeticError, tokenize.TokenError) as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
    array = mapped.view(np.ndarray)
    expected = (*array.shape[:1], *shape[1:]) if shape[:1] == (-1,) else shape
    if array.shape != expected or array.dtype != np.dtype(dtype):
        raise InputError(
            f"{path} holds {array.dtype} {list(array.shape)}, expected {np.dtype(dtype)} {list(shape)}; prepare the data again."
        )
    return array


def write_manifest(folder: pathlib.Path) -> None:
    """Writes the manifest of the files in the folder; folders in it are left out."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    files = {
        path.name: FileEntry(bytes=path.stat().st_size, crc32=_crc32(path))
        for path in paths
    }
    manifest = {"files": files, "crc32": _crc32_of_entries(files)}
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=1))


def read_manifest(folder: pathlib.Path) -> Mapping[str, FileEntry]:
    """The manifest's entries, by the name of the file.

    Raises:
        InputError: the manifest is not as it was written.
        OSError: the file may not be read.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_bytes())
        files = manifest["files"]
        if manifest["crc32"] != _crc32_of_entries(files):
            raise ValueError("its checksum differs")
        if any(pathlib.PurePath(name).name != name for name in files):
            raise ValueError("it names files elsewhere")
        for name, entry in files.items():
            if not all(isinstance(entry[key], int) for key in ("bytes", "crc32")):
                raise ValueError(f"it tells no size and checksum of {name}")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; prepare the data again.") from None
    except NOT_AS_WRITTEN as error:
        raise InputError(
            f"{path} is damaged ({error}); prepare the data again."
        ) from error
    return files


def check_files(
    folder: pathlib.Path, files: Mapping[str, FileEntry], *, checksum_bytes: int | None
) -> int:
    """Compares files with their entries in the manifest.

    Args:
        folder: of the manifest.
        files: its entries.
        checksum_bytes: checksums are compared, smallest files first, until so many bytes
            are read; None for all files.

    Returns:
        Bytes of the files of which the size alone was compared.

    Raises:
        InputError: a file is gone, or is not as it was written.
        OSError: a file may not be read.
    """
    unread, read = 0, 0
    for name, entry in sorted(files.items(), key=lambda item: item[1]["bytes"]):
        path, size = folder / name, entry["bytes"]
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            what = "it does not exist" if found is None else f"it has {found} bytes"
            raise InputError(
                f"{path} is damaged: {what}, expected {size} bytes; prepare the data again."
            )
        if checksum_bytes is not None and read + size > checksum_bytes:
            unread += size
        elif _crc32(path) != entry["crc32"]:
            raise InputError(
                f"{path} is damaged: its checksum is not that of the manifest; prepare the data again."
            )
        else:
            read += size
    return unread


def _crc32(path: pathlib.Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            crc = zlib.crc32(piece, crc)
    return crc


def _crc32_of_entries(files: Mapping[str, FileEntry]) -> int:
    return zlib.crc32(json.dumps(files, sort_keys=True).encode())
