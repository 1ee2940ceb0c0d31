"""Raw values as the arrays that the exported model takes; beside predictor.py."""

import hashlib

import numpy as np

MISSING, UNSEEN = 0, 1


class Encoder:
    """Makes ids, values and numbers of columns, as training made them.

    Called with columns by name, and the number of their first row for errors.
    """

    def __init__(self, folder, about):
        self._fields, self._numbers = about["fields"], about["numbers"]
        self._text = text_without(about["na_values"])
        self._converters = [self._converter(field) for field in self._fields]
        found = enumerate(self._fields)
        self._makers = [maker(folder, index, field) for index, field in found]
        self._has_values = "values" in about["features"]
        self._slots = sum(field["slots"] for field in self._fields)

        def constants(name):
            return np.array([column[name] for column in self._numbers], float)[:, None]

        self._mean, self._std = constants("mean"), constants("std")
        self._low, self._high = constants("low"), constants("high")  # NaN: no limit
        numbers = list(enumerate(self._numbers))
        self._log = [i for i, column in numbers if column["transform"] == "log1p"]
        self._told = [i for i, column in numbers if column["tells_missing"]]

    def __call__(self, columns, start):
        count = len(next(iter(columns.values())))
        ids = np.zeros((count, self._slots), np.int32)
        values = np.ones((count, self._slots), np.float32)
        slot = 0
        for field, make, convert in zip(
            self._fields, self._makers, self._converters, strict=True
        ):
            name, stop = field["column"], slot + field["slots"]
            converted = each(name, convert, columns[name], start)
            if field["kind"] == "multi_valued":
                ids[:, slot:stop] = field["offset"] + MISSING
                values[:, slot + 1 : stop] = 0
                for row, items in enumerate(converted):
                    ids[row, slot : slot + len(items)] = make(items)
                    values[row, slot : slot + len(items)] = 1
            else:
                ids[:, slot] = make(converted)
            slot = stop
        features = {"ids": ids, "dense": self._dense(columns, start, count)}
        return features | ({"values": values} if self._has_values else {})

    def _converter(self, field):
        """The function of a raw value that gives what the maker of the field takes."""
        if "time_part" in field:
            import predictor_times

            return predictor_times.reader(field["time_part"], field["time_unit"])
        if field["kind"] == "multi_valued":
            return items_of(field, self._text)
        return number if field["kind"].startswith("bucket") else self._text

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
    row = 0
    converted = []
    try:
        for row, value in enumerate(column):  # noqa: B007
            converted.append(convert(value))
    except (ValueError, TypeError, OverflowError) as error:
        told = f"row {start + row} (from 0): {name} is {column[row]!r}, {error}"
        raise ValueError(" ".join(told.split())) from None
    return converted


def number(value):
    """A float; NaN if it is missing."""
    if value is None or value == "":
        return np.nan
    if isinstance(value, (str, bytes)) or np.ndim(value) or abs(float(value)) == np.inf:
        raise ValueError("expected a finite number")
    return float(value)


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


def items_of(field, text):
    """The function that gives the first texts of a list, or of text with separators."""

    def items(value):
        if isinstance(value, str):
            value = value.split(field["separator"])
        if value is None or isinstance(value, float):
            value = ()
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise ValueError("expected a list or text")
        found = [item for item in map(text, value) if item is not None]
        return found[: field["slots"]]

    return items


def maker(folder, index, field):
    """The function that gives the ids of a field's values, int32 [N]."""
    offset, kind = field["offset"], field["kind"]
    if kind == "bucket_quantile":

        def quantile(numbers):
            numbers = np.array(numbers, np.float64)
            bucket = 2 + np.searchsorted(field["boundaries"], numbers, side="right")
            return offset + np.where(np.isnan(numbers), MISSING, bucket)

        return quantile
    if kind == "hash_buckets":
        buckets = field["vocab_size"] - 2
        return lambda texts: [
            offset + (MISSING if each is None else 2 + fnv1a(each) % buckets)
            for each in texts
        ]
    look_up = Vocabulary(folder, index, offset)
    if kind == "bucket_log2":
        return lambda numbers: look_up([log2_bucket(each) for each in numbers])
    return look_up


class Vocabulary:
    """Ids of texts: 64-bit hashes in rising order, then the bytes are compared."""

    def __init__(self, folder, index, offset):
        self._hashes, self._ids, self._ends, self._bytes = (
            # As plain arrays: a memmap takes longer for each small access.
            np.load(folder / f"vocabulary_{index}.{part}.npy", "r").view(np.ndarray)
            for part in ("hashes", "ids", "ends", "bytes")
        )
        self._offset = offset

    def __call__(self, texts):
        ids = np.full(len(texts), self._offset + MISSING, np.int32)
        found = [
            (row, each.encode("utf-8", "surrogatepass"))
            for row, each in enumerate(texts)
            if each is not None
        ]
        hashes = np.array([hash64(value) for _, value in found], np.uint64)
        for (row, value), key, place in zip(
            found,
            hashes.tolist(),
            np.searchsorted(self._hashes, hashes).tolist(),
            strict=True,
        ):
            ids[row] = self._find(value, key, place)
        return ids

    def _find(self, value, key, place):
        while place < len(self._hashes) and self._hashes[place] == key:
            start = self._ends[place - 1] if place else 0
            if self._bytes[start : self._ends[place]].tobytes() == value:
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
    if np.isnan(value):
        return None
    return f"{np.floor(np.square(np.log(value))) if value > 2 else np.trunc(value) + 0.0:.0f}"
