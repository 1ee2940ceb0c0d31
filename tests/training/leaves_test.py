import collections
import zlib

import jax
import ml_dtypes
import numpy as np
import pytest

from afm_jax.training import leaves

Pair = collections.namedtuple("Pair", ("left", "right"))


def test_a_name_is_the_path_to_the_leaf():
    tree = {"params": {"embedding": {"table": 1}}, "pair": Pair((2, 3), {})}
    assert leaves.by_name(tree) == {
        "pair/left/0": 2,
        "pair/left/1": 3,
        "params/embedding/table": 1,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.bool_, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (3, 4, 2)])
def test_a_description_is_of_shape_dtype_and_bytes(dtype, shape):
    array = np.random.default_rng(0).integers(0, 9, shape).astype(dtype)
    assert leaves.describe(array) == {
        "shape": list(shape),
        "dtype": np.dtype(dtype).name,
        "crc32": zlib.crc32(array.tobytes()),
    }


def test_a_checksum_is_of_the_numbers_in_order_whatever_the_layout():
    array = np.random.default_rng(0).normal(size=(4, 6))
    assert leaves.describe(np.asfortranarray(array)) == leaves.describe(array)
    swapped = array[[1, 0, 2, 3]]
    assert leaves.describe(swapped)["crc32"] != leaves.describe(array)["crc32"]
    changed = array.copy()
    changed[2, 3] = np.nextafter(changed[2, 3], 9)
    assert leaves.describe(changed)["crc32"] != leaves.describe(array)["crc32"]


@pytest.mark.parametrize(
    ("example", "line"),
    [
        ({"b": np.zeros(3, np.float32)}, None),
        ({"b": jax.ShapeDtypeStruct((3,), np.float32)}, None),
        ({"b": np.zeros(4, np.float32)}, "b is float32 (3,), expected float32 (4,)"),
        ({"b": np.zeros(3, np.int8)}, "b is float32 (3,), expected int8 (3,)"),
        ({}, "b is float32 (3,), expected no such leaf"),
        (
            {"a": np.int32(0), "b": np.zeros(3, np.float32)},
            "a is missing, expected int32 ()",
        ),
    ],
)
def test_the_first_difference_is_named(example, line):
    saved = {"b": leaves.describe(np.ones(3, np.float32))}
    assert leaves.difference(saved, example) == line
