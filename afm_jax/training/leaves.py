"""Names, shapes and checksums of the leaves of a tree of arrays."""

import zlib
from collections.abc import Mapping
from typing import Any, TypedDict

import jax
import numpy as np


class Description(TypedDict):
    """What is known of a leaf without its numbers; plain JSON.

    Attributes:
        shape: its shape.
        dtype: the name of its dtype.
        crc32: the checksum of its bytes in row-major order.
    """

    shape: list[int]
    dtype: str
    crc32: int


def name_of(path: tuple[Any, ...]) -> str:
    """The name of a leaf, such as params/embedding/table, by its path in a tree."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def by_name(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by name."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name_of(path): leaf for path, leaf in leaves}


def describe(array: np.ndarray) -> Description:
    """The description of an array."""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return Description(
        shape=list(array.shape), dtype=array.dtype.name, crc32=zlib.crc32(data.data)
    )


def difference(saved: Mapping[str, Description], example: Any) -> str | None:
    """The first leaf whose existence, shape or dtype is not that of the example.

    Args:
        saved: descriptions by name.
        example: a tree whose leaves have `shape` and `dtype`.

    Returns:
        One line that names the leaf, what it is and what it should be, or None.
    """
    found = {name: f"{d['dtype']} {tuple(d['shape'])}" for name, d in saved.items()}
    expected = {
        name: f"{np.dtype(leaf.dtype).name} {tuple(leaf.shape)}"
        for name, leaf in by_name(example).items()
    }
    for name in expected | found:
        one, two = found.get(name, "missing"), expected.get(name, "no such leaf")
        if one != two:
            return f"{name} is {one}, expected {two}"
    return None
