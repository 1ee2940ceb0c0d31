"""The formats of text read a line or a character at a time, to compare the readers with.

Each function takes the bytes of a file and gives its rows as tuples: label, values, time.
"""

import collections
import csv as python_csv
import datetime
import functools
import io
import math
import re
import struct

AVAZU = (
    "C1",
    "banner_pos",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    "C14",
    "C15",
    "C16",
    "C17",
    "C18",
    "C19",
    "C20",
    "C21",
)


class Refused(Exception):
    """A file that a reader should refuse."""


MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8",
}


def text(content, encoding="utf-8"):
    """The text of a file with the line ends of Unix and without blank lines at its end."""
    marked = next((MARKS[mark] for mark in MARKS if content.startswith(mark)), "")
    if not encoding.startswith(marked):
        raise Refused
    found = _decoded(content, encoding).removeprefix("\ufeff").replace("\r\n", "\n")
    lines = found.removesuffix("\r").split("\n")
    while lines and not lines[-1].strip(" \t\n\r\x0b\x0c"):
        lines.pop()
    found = "".join(line + "\n" for line in lines)
    if not lines or "\0" in found or "\n\ufeff" in "\n" + found:
        raise Refused
    return found


def lines(content, encoding="utf-8"):
    found = text(content, encoding)
    if "\r" in found:
        raise Refused
    return found.split("\n")[:-1]


def _decoded(data, encoding="utf-8"):
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise Refused from None


def csv_rows(content, delimiter, *, header=True, encoding="utf-8"):
    """Header and rows by Python's csv."""
    content = text(content, encoding)
    read = functools.partial(python_csv.reader, delimiter=delimiter, strict=True)
    try:
        rows = list(read(io.StringIO(content, newline="")))
        marked = list(read(io.StringIO(content.replace("\r", "\x01"), newline="")))
    except python_csv.Error:
        raise Refused from None
    expected = [[cell.replace("\r", "\x01") for cell in row] for row in rows]
    if marked != expected or [] in rows:  # "\r" outside of quotes; an empty line
        raise Refused
    names = [name.strip() for name in rows.pop(0)] if header else None
    names = names or [str(place) for place in range(len(rows[0]))]
    if any(len(row) != len(names) for row in rows):
        raise Refused
    return names, rows


def columns_of(header, rows, names):
    """The values of the named columns."""
    if any(header.count(name) != 1 for name in names):
        raise Refused
    return [[row[header.index(name)] for name in names] for row in rows]


def number(value, *, may_miss=True):
    if re.fullmatch(r"[ \t]*[-+]?nan|[ \t]*", value, re.IGNORECASE) and may_miss:
        return None
    if not re.fullmatch(
        r"[ \t]*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", value
    ):
        raise Refused
    if math.isinf(float(value)):
        raise Refused
    return float(value)


def whole(value):
    if not re.fullmatch(r"[ \t]*[-+]?[0-9]+", value) or not 0 <= int(value) < 2**63:
        raise Refused
    return int(value)


def binary_label(value):
    found = number(value, may_miss=False)
    if found not in (0, 1):
        raise Refused
    return found


def labels(values):
    """Labels by the rule that no option changes."""
    words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    bare = [value.strip() for value in values]
    found = [
        words[value.lower()]
        if value.lower() in words
        else number(value, may_miss=False)
        for value in bare
    ]
    if any(not (value == -1 or 0 <= value <= 1) for value in found):
        raise Refused
    if -1 in found and any(0 < value < 1 for value in found):
        raise Refused
    return [float32(max(value, 0.0)) for value in found]


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def word(value):
    return None if value.lower() in ("", "nan") else value


def items(value):
    parts = [word(part) for part in value.split("|")]
    return [part for part in parts if part] if word(value) else None


def csv(content, names, *, decimal=".", na_values=(), **written):
    """The rows of the columns y, n, c, m and t, whatever their names are."""

    def numeral(value):
        if "." in value and decimal == ",":
            raise Refused
        return value.replace(decimal, ".")

    def known(value):
        return "" if value in na_values else value

    rows = columns_of(*csv_rows(content, **written), names)
    found = labels(numeral(known(row[0])) for row in rows)
    return [
        (
            y,
            number(numeral(known(n))),
            word(known(c)),
            [item for item in items(known(m)) or () if known(item)]
            if items(known(m)) is not None
            else None,
            number(numeral(known(t)), may_miss=False),
        )
        for y, (_, n, c, m, t) in zip(found, rows, strict=True)
    ]


def criteo(content):
    rows = [line.split("\t") for line in lines(content)]
    if any(len(row) != 40 for row in rows):
        raise Refused
    return [
        (binary_label(row[0]), *map(number, row[1:14]), *map(word, row[14:]))
        for row in rows
    ]


def avazu(content):
    rows = columns_of(*csv_rows(content, ","), ("click", "hour", *AVAZU))
    return [
        (
            binary_label(y),
            *_calendar(whole(hour)),
            *map(word, words),
            whole(hour),
        )
        for y, hour, *words in rows
    ]


def _calendar(hour):
    try:
        time = datetime.datetime.strptime(f"{hour:08}", "%y%m%d%H")
    except ValueError:
        raise Refused from None
    return str(time.hour), str(time.weekday()), str(int(time.weekday() >= 5))


def _libfm(content, numbers=1):
    """Label and a list of (number, ..., value) for each row."""
    rows = []
    for line in lines(content):
        first, *tokens = re.sub("[ \t]+", " ", line).removesuffix(" ").split(" ")
        features = []
        for token in tokens:
            *ids, last = token.split(":")
            if len(ids) != numbers or not re.fullmatch("[-+.0-9eE]+", last):
                raise Refused
            if not all(re.fullmatch(r"\+?[0-9]+", id) for id in ids):
                raise Refused
            if max(map(int, ids)) >= 2**64:
                raise Refused
            if abs(number(last, may_miss=False)) > 3.4028235e38:
                raise Refused
            features.append((*map(int, ids), float32(float(last))))
        if first.startswith(" "):
            raise Refused
        rows.append((first, features))
    found = labels(label for label, _ in rows)
    return [(y, features) for y, (_, features) in zip(found, rows, strict=True)]


def libfm_by_position(content):
    rows = _libfm(content)
    count = len(rows[0][1])
    places = collections.defaultdict(set)
    for _, features in rows:
        if len(features) != count or not count:
            raise Refused
        for place, (feature, _) in enumerate(features):
            places[feature].add(place)
    if any(len(found) > 1 for found in places.values()):
        raise Refused
    return [(y, *map(str, dict(row)), *dict(row).values()) for y, row in rows]


def libfm_by_range(content, sizes):
    rows = []
    for y, features in _libfm(content):
        ids = [feature for feature, _ in features]
        if len(set(ids)) < len(ids) or max(ids, default=0) >= sum(sizes):
            raise Refused
        fields = [([], []) for _ in sizes]
        for feature, value in features:
            texts, values = fields[int(feature >= sizes[0])]
            texts.append(str(feature))
            values.append(value)
        rows.append(
            (
                y,
                *(
                    part or None
                    for parts in zip(*fields, strict=True)
                    for part in parts
                ),
            )
        )
    return rows


def libffm(content):
    rows = _libfm(content, numbers=2)
    numbers = sorted({field for _, features in rows for field, _, _ in features})
    if not numbers:
        raise Refused
    found = []
    for y, features in rows:
        if len({feature[:2] for feature in features}) < len(features):
            raise Refused
        of = {number: [f for f in features if f[0] == number] for number in numbers}
        texts = [[str(id) for _, id, _ in of[number]] or None for number in numbers]
        values = [[value for _, _, value in of[number]] or None for number in numbers]
        found.append((y, *texts, *values))
    return found


def movielens_100k(files):
    """The rows of ratings; `files` are the contents by name."""
    genres = [line.split("|") for line in lines(files["u.genre"])]
    if any(len(row) != 2 for row in genres):
        raise Refused
    names = [word(row[0]) for row in genres]
    numbers = [whole(row[1]) for row in genres]
    if None in names or len(set(names)) < len(names) or numbers != [*range(len(names))]:
        raise Refused
    users, films = {}, {}
    for line in lines(files["u.user"]):
        user, age, *words = _cells(line, "|", 5)
        gender, occupation, place = map(word, words)
        known = (str(whole(age)), gender, occupation, place and place[0])
        _add(users, whole(user), known)
    for line in lines(files["u.item"], "latin-1"):
        item, _, date, _, _, *flags = _cells(line, "|", 5 + len(names))
        if word(date) and not re.fullmatch("[0-9]{1,2}-[A-Z][a-z]{2}-[0-9]{4}", date):
            raise Refused
        shown = [name for name, flag in zip(names, flags, strict=True) if _flag(flag)]
        _add(films, whole(item), (word(date) and date[-4:], shown))
    rows = []
    for line in lines(files["u.data"]):
        user, item, rating, time = map(whole, _cells(line, "\t", 4))
        if user not in users or item not in films or not 1 <= rating <= 5:
            raise Refused
        year, shown = films[item]
        rows.append(
            (float(rating >= 4), str(user), str(item), *users[user], year, shown, time)
        )
    return rows


def _cells(line, separator, count):
    cells = line.split(separator)
    if len(cells) != count:
        raise Refused
    return cells


def _flag(value):
    return binary_label(value)


def _add(table, key, row):
    if key in table:
        raise Refused
    table[key] = row
