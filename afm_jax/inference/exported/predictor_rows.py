"""Raw values as the arrays that the exported model takes; beside predictor.py."""

import bisect
import hashlib

import numpy as np

MISSING, UNSEEN = 0, 1


class Encoder:
    """Makes ids, values and numbers of columns, as training made them.

    Called with columns by name, and the number of their first row for errors. It is made
    of the folder and of `predictor_times.reader`.

    Attributes:
        features: the width and the dtype of each array that a call gives, by name.
    """

    def __init__(self, folder, time_reader):
        fields, self._numbers = folder.about["fields"], folder.about["numbers"]
        text = text_without(frozenset(folder.about["na_values"]))
        self._ids_of = [
            (field["column"], id_maker(folder, index, field, text, time_reader))
            for index, field in enumerate(fields)
        ]
        self._lists = {i for i, field in enumerate(fields) if is_list(field)}
        slots = [(field, slot) for field in fields for slot in range(field["slots"])]
        self._offsets = np.array([field["offset"] for field, _ in slots], np.int32)
        self._always = np.array([slot == 0 for _, slot in slots], bool)

        def constants(name):
            found = [column[name] for column in self._numbers]
            return np.array(found, np.float64)[:, None]

        self._mean, self._std = constants("mean"), constants("std")
        self._low, self._high = constants("low"), constants("high")  # NaN: no limit
        numbers = list(enumerate(self._numbers))
        self._log = [i for i, column in numbers if column["transform"] == "log1p"]
        self._told = [i for i, column in numbers if column["tells_missing"]]
        width = len(numbers) + len(self._told)
        self.features = {"ids": (len(slots), "int32"), "dense": (width, "float32")}
        if len(slots) > len(fields):
            self.features["values"] = (len(slots), "float32")

    def __call__(self, columns, start):
        count = len(next(iter(columns.values())))
        by_slot = []
        for index, (name, id_of) in enumerate(self._ids_of):
            found = each(name, id_of, columns[name], start)
            by_slot += zip(*found, strict=True) if index in self._lists else [found]
        ids = np.array(by_slot, np.int32).reshape(-1, count).T
        features = {"ids": ids, "dense": self._dense(columns, start, count)}
        if "values" in self.features:
            used = self._always | (ids != self._offsets + MISSING)
            features["values"] = used.astype(np.float32)
        return features

    def example(self):
        """What a call gives of one row, all 0."""
        found = self.features.items()
        return {name: np.zeros((1, width), dtype) for name, (width, dtype) in found}

    def _dense(self, columns, start, count):
        names = [column["name"] for column in self._numbers]
        found = [each(name, number, columns[name], start) for name in names]
        found = np.array(found, np.float64).reshape(-1, count)
        missing = np.isnan(found)
        logs = found[self._log]
        found[self._log] = np.copysign(np.log1p(np.abs(logs)), logs)
        found = np.fmin(np.fmax(found, self._low), self._high)
        found = (found - self._mean) / self._std
        found[missing] = 0
        return np.concatenate([found, missing[self._told]]).T.astype(np.float32)


def each(name, convert, column, start):
    """The values of a column, converted; an error names the row."""
    converted = []
    try:
        for value in column:
            converted.append(convert(value))
    except (ValueError, TypeError, OverflowError) as error:
        row = len(converted)
        told = f"row {start + row} (from 0): {name} is {column[row]!r}, {error}"
        raise ValueError(" ".join(told.split())) from None
    return converted


def number(value):
    """A float; NaN if it is missing."""
    if type(value) not in (int, float):  # What else it may be takes longer to tell.
        if value is None or value == "":
            return np.nan
        if isinstance(value, (str, bytes)) or np.ndim(value):
            raise ValueError("expected a finite number")
    value = float(value)
    if abs(value) == np.inf:
        raise ValueError("expected a finite number")
    return value


def text(value):
    """The text of a category, equal for equal values of any type; None if it is missing."""
    if isinstance(value, str):
        return None if value.lower() in ("", "nan") else value
    if value is None or value != value:
        return None
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if not isinstance(value, (float, np.floating)):
        raise ValueError("expected text, a number, True or False")
    if value == np.floor(value) and abs(value) < 2.0**127:
        return str(int(value))
    if 1e-5 <= abs(value) < 2.0**127:
        return np.format_float_positional(value, trim="-")
    return str(value).replace("e-0", "e-")


def text_without(na_values):
    """The function that gives a text as `text` does, or None if it is one of these."""

    def known(value):
        found = text(value)
        return None if found in na_values else found

    return known


def is_list(field):
    """Whether the field takes lists, so that an id maker gives an id for each slot."""
    return field["kind"] == "multi_valued"


def id_maker(folder, index, field, text, time_reader):
    """The function of a raw value that gives its id, or the ids of a list."""
    offset, kind = field["offset"], field["kind"]
    if kind == "bucket_quantile":
        edges = field["boundaries"]

        def quantile(value):
            value = number(value)
            bucket = 2 + bisect.bisect_right(edges, value)
            return offset + (MISSING if value != value else bucket)

        return quantile
    if kind == "hash_buckets":
        buckets = field["vocab_size"] - 2

        def hashed(value):
            found = text(value)
            return offset + (MISSING if found is None else 2 + fnv1a(found) % buckets)

        return hashed
    id_of_text = Vocabulary(folder, index, field)
    if is_list(field):
        return ids_of_items(field, text, id_of_text)
    if field["time_part"]:
        text = time_reader(field["time_part"], field["time_unit"])
    if kind == "bucket_log2":
        text = log2_bucket
    return lambda value: id_of_text(text(value))


def ids_of_items(field, text, id_of_text):
    """The function that gives the ids of a list, or of text with separators, to slots."""

    def ids(value):
        if isinstance(value, str):
            value = value.split(field["separator"])
        if value is None or isinstance(value, float):
            value = ()
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise ValueError("expected a list or text")
        items = [item for item in map(text, value) if item is not None]
        found = [id_of_text(item) for item in items[: field["slots"]]]
        return found + [field["offset"] + MISSING] * (field["slots"] - len(found))

    return ids


class Vocabulary:
    """The id of a text: 64-bit hashes in rising order, then the bytes are compared."""

    def __init__(self, folder, index, field):
        # Views of memory give single numbers faster than arrays do.
        self._hashes, self._ids, self._ends, self._bytes = map(
            memoryview, folder.vocabulary(index)
        )
        self._offset = field["offset"]

    def __call__(self, text):
        if text is None:
            return self._offset + MISSING
        value = text.encode("utf-8", "surrogatepass")
        key = hash64(value)
        place = bisect.bisect_left(self._hashes, key)
        while place < len(self._hashes) and self._hashes[place] == key:
            start = self._ends[place - 1] if place else 0
            if self._bytes[start : self._ends[place]] == value:
                return self._ids[place]
            place += 1
        return self._offset + UNSEEN


def hash64(value):
    """A 64-bit hash of bytes."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "little")


def fnv1a(value):
    """The 64-bit FNV-1a hash of a text."""
    found = 0xCBF29CE484222325
    for byte in value.encode("utf-8", "surrogatepass"):
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return found


def log2_bucket(value):
    """The published Criteo rule as text: floor(log(x)^2) for x > 2, else x cut."""
    value = number(value)
    if value != value:
        return None
    return f"{np.floor(np.square(np.log(value))) if value > 2 else np.trunc(value) + 0.0:.0f}"
