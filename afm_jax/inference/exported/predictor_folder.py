"""The files of an exported folder, checked before they are used; beside predictor.py."""

import contextlib
import json
import pathlib
import zlib

import numpy as np

FIRST = 2  # the id of a field's first value, counted from its offset
MOST_IDS = 2**31
MOST_BYTES = 2**28  # of about.json
PIECE = 2**20  # bytes that are read at once


class FolderError(RuntimeError):
    """A folder is damaged, or cannot be used here; told in one line."""


@contextlib.contextmanager
def told(path):
    """Tells whatever goes wrong with a file as a `FolderError`."""
    try:
        yield
    except Exception as error:  # Whatever a parser of damaged files may meet.
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = " ".join(reason.split())[:300]
        raise FolderError(f"{path}: {reason}; export the run again.") from None


class Folder:
    """Gives what the files hold, if they are as they were written; runs none of it.

    Attributes:
        path: of the folder.
        about: what about.json holds, as `ABOUT` describes it.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        about = self.path / "about.json"
        with told(about):
            if size_of(about) > MOST_BYTES:
                raise ValueError(f"expected at most {MOST_BYTES} bytes")
            self.about = json.loads(about.read_text(encoding="utf-8"))
            check(self.about, ABOUT)
            if self.about["crc32"] != crc32_of(self.about):
                raise ValueError("it is not as it was written")
            if self.about["format"] == "jax":
                check(self.about, {"program": PROGRAM})
            check_ids(self.about["fields"])
            if not self.about["fields"] and not self.about["numbers"]:
                raise ValueError("it names no columns")
        self._files = {file["name"]: file for file in self.about["files"]}

    def read(self, name):
        """The bytes of a file."""
        return self._checked(name).read_bytes()

    def array(self, name, dtype):
        """The array of a file, mapped."""
        path = self._checked(name)
        with told(path):
            # Objects of Python, which would run code, are refused.
            found = np.lib.format.open_memmap(path, mode="r")
            if found.dtype.str != dtype:
                raise ValueError(f"it is of {found.dtype.str}, expected {dtype}")
        return found.view(np.ndarray)  # A memmap takes longer for each small access.

    def weights(self):
        """The weights by name, float32, in memory."""
        names = enumerate(self.about["weights"])
        return {n: np.array(self.array(f"weights_{i}.npy", "<f4")) for i, n in names}

    def vocabulary(self, index):
        """Of a field's values by rising hash: hashes, ids, ends of the bytes, the bytes."""
        field, name = self.about["fields"][index], f"vocabulary_{index}"
        arrays = [self.array(f"{name}.{part}.npy", t) for part, t in VOCABULARY.items()]
        hashes, ids, ends, data = arrays
        low, high = field["offset"] + FIRST, field["offset"] + field["vocab_size"]
        with told(self.path / f"{name}.*.npy"):
            if {each.shape for each in (hashes, ids, ends)} != {(len(ids),)}:
                raise ValueError("the arrays are not of one length")
            if len(ids) and not low <= ids.min() <= ids.max() < high:
                raise ValueError(f"expected ids from {low} to {high - 1}")
            if (ends[1:] < ends[:-1]).any() or data.shape != (ends[-1:].sum(),):
                raise ValueError("the values do not end where their bytes do")
        return arrays

    def _checked(self, name):
        """The path of a file that is as it was written."""
        path, known = self.path / name, self._files.get(name)
        with told(path):
            if known is None:
                raise ValueError("about.json does not tell of it")
            if size_of(path) != known["bytes"]:
                raise ValueError(f"expected {known['bytes']} bytes")
            crc32 = 0
            with path.open("rb") as file:
                while piece := file.read(PIECE):
                    crc32 = zlib.crc32(piece, crc32)
            if crc32 != known["crc32"]:
                raise ValueError("it is not as it was written")
        return path


def size_of(path):
    """Bytes of a file; not of a pipe, of which reading would wait."""
    if not path.is_file():
        raise ValueError("there is no such file")
    return path.stat().st_size


def crc32_of(about):
    """A checksum of what about.json holds beside it."""
    plain = {name: value for name, value in about.items() if name != "crc32"}
    return zlib.crc32(json.dumps(plain, sort_keys=True).encode())


def check(value, expected, where="about"):
    """Raises ValueError if a value of JSON is not what `ABOUT` and the like describe."""
    if isinstance(expected, dict):
        right = isinstance(value, dict) and expected.keys() <= value.keys()
        parts = expected
    elif isinstance(expected, list):
        right = isinstance(value, list)
        parts = dict.fromkeys(range(len(value) if right else 0), expected[0])
    else:
        right, parts = expected(value), {}
    if not right:
        raise ValueError(f"{where} cannot be {json.dumps(value)[:80]}")
    for place, each in parts.items():
        check(value[place], each, f"{where}[{place!r}]")


def check_ids(fields):
    """Raises ValueError if the ids of the fields do not follow on each other."""
    offset = 0
    for field in fields:
        # Those of values, and what else has ids.
        least = FIRST + {
            "hash_buckets": 1,
            "bucket_quantile": len(field["boundaries"]) + 1,
        }.get(field["kind"], 0)
        if field["offset"] != offset or field["vocab_size"] < least:
            raise ValueError(f"the ids of {field['column']!r} do not fit")
        offset += field["vocab_size"]
    if offset >= MOST_IDS:
        raise ValueError(f"expected fewer than {MOST_IDS} ids")


def is_text(value):
    return isinstance(value, str)


def is_truth(value):
    return isinstance(value, bool)


def is_count(value):
    return type(value) is int and 0 <= value < MOST_IDS


def is_number(value):
    return type(value) in (int, float) and abs(value) <= np.finfo(np.float64).max


def one_of(*choices):
    return lambda value: isinstance(value, str) and value in choices


VOCABULARY = {"hashes": "<u8", "ids": "<i4", "ends": "<i8", "bytes": "|u1"}
KINDS = "categorical", "multi_valued", "hash_buckets", "bucket_log2", "bucket_quantile"
FIELD = {
    "column": is_text,
    "kind": one_of(*KINDS),
    "offset": is_count,
    "vocab_size": is_count,
    "slots": lambda value: is_count(value) and 0 < value < 2**16,
    "boundaries": [is_number],
    "separator": is_text,
    "time_part": one_of("", "hour", "weekday", "month"),
    "time_unit": one_of("", "s", "ms", "us", "ns"),
}
NUMBER = {
    "name": is_text,
    "transform": is_text,
    "mean": is_number,
    "std": lambda value: is_number(value) and value > 0,
    "low": lambda value: value is None or is_number(value),
    "high": lambda value: value is None or is_number(value),
    "tells_missing": is_truth,
}
ABOUT = {
    "crc32": is_number,
    "format": one_of("jax", "numpy"),
    "jax": is_text,
    "platforms": [is_text],
    "model": is_text,
    "hyperparameters": {},
    "prediction": one_of("sigmoid", "clip", "identity"),
    "fields": [FIELD],
    "numbers": [NUMBER],
    "na_values": [is_text],
    "weights": [is_text],
    "files": [{"name": is_text, "bytes": is_number, "crc32": is_number}],
}
"""Of an object the parts, which must be there, of a list an item, else a check."""
PROGRAM = {
    "calling_convention_version": is_count,
    "module_kept_var_idx": [is_count],
    "uses_global_constants": is_truth,
}
