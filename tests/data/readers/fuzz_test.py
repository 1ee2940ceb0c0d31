"""Every reader on files that are whole, odd or damaged, beside slow readers of their own.

A damaged file either gives the rows that the slow reader finds, or one line that names the
file and a line (of parquet: the file); and only what the slow reader refuses, too.
"""

import collections
import contextlib
import csv as python_csv
import datetime
import functools
import io
import math
import re
import struct

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")
pytest.importorskip("hypothesis", reason="needs the extra 'test'")

import hypothesis
import polars as pl
from hypothesis import strategies as st

from afm_jax.errors import InputError
from data import readers, text
from data.readers import avazu, criteo, csv, libfm, movielens_100k

CHOSEN = {
    **{"label": "y", "categorical": ("c",), "numeric": ("n",), "separator": "|"},
    **{"multi_valued": ("m",), "time": "t"},
}
PIECES = (
    *(
        b'"',
        b'""',
        b'"',
        b",",
        b"\t",
        b"|",
        b" ",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r",
        b"\\",
    ),
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xc3\xa9",
        b"\xff\xfe",
        b"0",
        b"1",
        b"7",
        b"+",
    ),
    *(
        b"-",
        b".",
        b":",
        b"e",
        b"nan",
        b"NaN",
        b"inf",
        b"x",
        b"#",
        b"1:1",
        b" 1:1",
        b"\x0b",
    ),
)
FILES = 300


# Files: whole ones, and the same with a few changes.


def changed(files):
    """Bytes of `files`, some as they are and some with a few changes of bytes or lines."""
    kinds = st.sampled_from(
        ["insert", "insert", "replace", "delete", "cut", "copy", "swap"]
    )
    changes = st.lists(
        st.tuples(kinds, st.integers(0, 10**6), st.sampled_from(PIECES)), max_size=3
    )
    return st.builds(functools.partial(functools.reduce, _change), changes, files)


def _change(content, change):
    kind, place, piece = change
    lines = content.split(b"\n")
    place, line = place % (len(content) + 1), place % len(lines)
    if kind == "insert":
        return content[:place] + piece + content[place:]
    if kind == "replace":
        return content[:place] + piece + content[place + len(piece) :]
    if kind == "delete":
        return content[:place] + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    other = lines.pop(line) if kind == "swap" else lines[line]
    lines.insert(line // 2, other)
    return b"\n".join(lines)


def tables(*columns, separator, header="", quoted=False, max_rows=7):
    """Text files with rows of values drawn from the columns."""
    if quoted:
        columns = [st.one_of(column, column.map(_quoted)) for column in columns]
    rows = st.lists(
        st.tuples(*columns).map(separator.join), min_size=1, max_size=max_rows
    )
    ends = st.sampled_from(["", "\n", "\n", "\n\n", "\n \n", "\r\n"])
    line_ends = st.sampled_from(["\n", "\n", "\r\n"])
    return st.builds(
        lambda rows, end, line_end: (
            line_end.join([header] * bool(header) + rows) + end
        ).encode(),
        *(rows, ends, line_ends),
    )


def _quoted(value):
    return '"' + value.replace('"', '""') + '"'


LABELS = st.sampled_from(["0", "1", "1.0", "-1"])
WORDS = st.sampled_from(
    ["", "a", "bb", "nan", "Nan", "null", "é", 'x"', "7", "3.0", " "]
)
LISTS = st.sampled_from(["", "a", "a|b", "|", "nan|b||a", "a|NaN"])
NUMBERS = st.sampled_from(
    ["", "0", "-1.5", "+.5", "2.", "1e3", "nan", "NAN", " 4", " "]
)
TIMES = st.sampled_from(["0", "12", "1.5", "-3"])


# The slow readers: rows, or Refused.


class Refused(Exception):
    """A file that a reader should refuse."""


def slow_text(content):
    """The text of a file with the line ends of Unix and without blank lines at its end."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        raise Refused
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    lines = content.removesuffix(b"\r").split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    content = b"".join(line + b"\n" for line in lines)
    if not lines or b"\0" in content or b"\n\xef\xbb\xbf" in b"\n" + content:
        raise Refused
    return content


def slow_lines(content, encoding="utf-8"):
    content = slow_text(content)
    if b"\r" in content:
        raise Refused
    return [_decoded(line, encoding) for line in content.split(b"\n")[:-1]]


def _decoded(data, encoding="utf-8"):
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise Refused from None


def slow_csv(content, separator):
    """Header and rows by Python's csv."""
    content = _decoded(slow_text(content))
    read = functools.partial(python_csv.reader, delimiter=separator, strict=True)
    try:
        rows = list(read(io.StringIO(content, newline="")))
        ends = list(read(io.StringIO(content.replace("\r", "\n"), newline="")))
    except python_csv.Error:
        raise Refused from None
    if len(ends) != len(rows) or [] in rows:  # "\r" that ends a line; an empty line
        raise Refused
    header, *rows = rows
    if any(len(row) != len(header) for row in rows):
        raise Refused
    return [name.strip() for name in header], rows


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


def label(value, *, signed=True):
    found = number(value, may_miss=False)
    if found not in ((-1, 0, 1) if signed else (0, 1)):
        raise Refused
    return float(found > 0)


def word(value):
    return None if value.lower() in ("", "nan") else value


def items(value):
    parts = [word(part) for part in value.split("|")]
    return [part for part in parts if part] if word(value) else None


def slow_chosen(content, separator):
    rows = columns_of(*slow_csv(content, separator), ("y", "n", "c", "m", "t"))
    return [
        (label(y), number(n), word(c), items(m), number(t, may_miss=False))
        for y, n, c, m, t in rows
    ]


def slow_criteo(content):
    rows = [line.split("\t") for line in slow_lines(content)]
    if any(len(row) != 40 for row in rows):
        raise Refused
    return [
        (label(row[0], signed=False), *map(number, row[1:14]), *map(word, row[14:]))
        for row in rows
    ]


def slow_avazu(content):
    rows = columns_of(*slow_csv(content, ","), ("click", "hour", *avazu.CATEGORIES))
    return [
        (
            label(y, signed=False),
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


def slow_libfm(content):
    """Label and a list of (id, value) for each row."""
    rows = []
    for line in slow_lines(content):
        first, *tokens = re.sub("[ \t]+", " ", line).removesuffix(" ").split(" ")
        features = []
        for token in tokens:
            found = re.fullmatch(r"\+?([0-9]+):([-+.0-9eE]+)", token)
            if not found or int(found[1]) >= 2**64:
                raise Refused
            if " " in found[2] or abs(number(found[2], may_miss=False)) > 3.4028235e38:
                raise Refused
            value = struct.unpack("f", struct.pack("f", float(found[2])))[0]
            features.append((int(found[1]), value))
        if first.startswith(" "):
            raise Refused
        rows.append((label(first), features))
    return rows


def slow_by_position(content):
    rows = slow_libfm(content)
    count = len(rows[0][1])
    places = collections.defaultdict(set)
    for _, features in rows:
        if len(features) != count or not count:
            raise Refused
        for place, (feature, _) in enumerate(features):
            places[feature].add(place)
    if any(len(found) > 1 for found in places.values()):
        raise Refused
    return [(y, *((str(i), x) for i, x in features)) for y, features in rows]


SIZES = (4, 6)


def slow_by_range(content):
    rows = []
    for y, features in slow_libfm(content):
        ids = [feature for feature, _ in features]
        if len(set(ids)) < len(ids) or max(ids, default=0) >= sum(SIZES):
            raise Refused
        fields = [
            [(str(i), x) for i, x in features if (i >= SIZES[0]) == field] or None
            for field in (False, True)
        ]
        rows.append((y, *fields))
    return rows


def slow_movielens(content, *, name):
    files = {**MOVIELENS, name: content}
    genres = [line.split("|") for line in slow_lines(files["u.genre"])]
    if any(len(row) != 2 for row in genres):
        raise Refused
    names = [word(row[0]) for row in genres]
    numbers = [whole(row[1]) for row in genres]
    if None in names or len(set(names)) < len(names) or numbers != [*range(len(names))]:
        raise Refused
    users, films = {}, {}
    for line in slow_lines(files["u.user"]):
        user, age, *words = _cells(line, "|", 5)
        gender, occupation, place = map(word, words)
        known = (str(whole(age)), gender, occupation, place and place[0])
        _add(users, whole(user), known)
    for line in slow_lines(files["u.item"], "latin-1"):
        item, _, date, _, _, *flags = _cells(line, "|", 5 + len(names))
        if word(date) and not re.fullmatch("[0-9]{1,2}-[A-Z][a-z]{2}-[0-9]{4}", date):
            raise Refused
        shown = [name for name, flag in zip(names, flags, strict=True) if _flag(flag)]
        _add(films, whole(item), (word(date) and date[-4:], shown))
    rows = []
    for line in slow_lines(files["u.data"]):
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
    return label(value, signed=False)


def _add(table, key, row):
    if key in table:
        raise Refused
    table[key] = row


# The readers, on one file in chunks of a few bytes.


@contextlib.contextmanager
def small_chunks(size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(text.chunks.__kwdefaults__, "chunk_bytes", size)
        yield


def rows_of(reader, path):
    """The rows of a file as tuples; lists of values are pairs of an id and a value."""
    frames = [part.parse() for part in reader.parts(path)]
    if not frames:
        return []
    names = [column.name for column in reader.layout.columns]
    if reader.check:
        reader.check({name: pl.concat([f[name] for f in frames]) for name in names})
    time = [readers.TIME] if reader.layout.order == readers.TIME else []
    rows = []
    for frame in frames:
        assert frame[readers.LABEL].dtype == pl.Float32
        rows += map(_plain, frame.select(readers.LABEL, *names, *time).iter_rows())
    return rows


def _plain(row):
    return tuple(
        None if isinstance(value, float) and math.isnan(value) else value
        for value in row
    )


def weighted_rows(reader, path):
    """As `rows_of`, of libFM: an id stands beside its value."""
    frames = []
    for part in reader.parts(path):
        frame = part.parse()
        for column in reader.layout.columns:
            beside = readers.VALUES + column.name
            if beside not in frame.columns:
                ones = pl.lit(1.0, pl.Float32)
                if column.kind == "multi_valued":
                    ones = pl.col(column.name).list.eval(pl.lit(1.0, pl.Float32))
                frame = frame.with_columns(ones.alias(beside))
        frames.append(frame)
    names = [column.name for column in reader.layout.columns]
    if reader.check:
        reader.check({name: pl.concat([f[name] for f in frames]) for name in names})
    rows = []
    for frame in frames:
        for y, *cells in frame.select(
            readers.LABEL, *names, *(readers.VALUES + name for name in names)
        ).iter_rows():
            pairs = zip(cells[: len(names)], cells[len(names) :], strict=True)
            rows.append((y, *map(_pairs, pairs)))
    return rows


def _pairs(pair):
    if isinstance(pair[0], list):
        return list(zip(*pair, strict=True))
    return pair if pair[0] is not None else None


def agree(read, slow, content, path):
    """Checks one file: rows equal the slow reader's, or both refuse and a line is named."""
    path.write_bytes(content)
    try:
        expected = slow(content)
    except Refused:
        expected = None
    try:
        found = read(path)
    except InputError as error:
        told = str(error)
        assert expected is None, told
        assert "\n" not in told
        assert len(told) < 1000
        place = re.search(rf"{re.escape(str(path.parent))}/\S+ line (\d+)", told)
        if not place:
            assert f"{path} is empty" in told
        else:
            assert 1 <= int(place[1]) <= content.count(b"\n") + 1
    else:
        assert found == expected


def fuzz(check, files, *, shrink=True):
    """Runs the check on files and sizes of chunks that hypothesis draws, the same ones each time."""
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    run = hypothesis.given(files, st.sampled_from([1, 3, 16, 64, 8 << 20]))(check)
    hypothesis.settings(
        max_examples=FILES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=phases + [hypothesis.Phase.shrink] * shrink,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(run)()


CSV_COLUMNS = (LABELS, WORDS, NUMBERS, WORDS, LISTS, TIMES)


def check_csv(folder, suffix, separator):
    path = folder / f"rows.{suffix}"

    def check(content, size):
        with small_chunks(size):
            agree(
                lambda path: rows_of(csv.open_reader([path], CHOSEN), path),
                *(functools.partial(slow_chosen, separator=separator), content, path),
            )

    header = separator.join(["y", "u", "n", '"c"', " m ", "t"])
    files = tables(*CSV_COLUMNS, separator=separator, header=header, quoted=True)
    return check, changed(files)


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_csv_files_are_read_as_by_pythons_csv_or_refused(tmp_path, suffix, separator):
    fuzz(*check_csv(tmp_path, suffix, separator))


def test_criteo_files_are_read_as_by_splitting_lines_or_refused(tmp_path):
    def check(content, size):
        with small_chunks(size):
            agree(
                lambda path: rows_of(criteo.open_reader([path], {}), path),
                *(slow_criteo, content, tmp_path / "train.txt"),
            )

    columns = [st.sampled_from(["0", "1"]), *[NUMBERS] * 3, *[st.just("")] * 10]
    columns += [*[WORDS] * 4, *[st.just("68fd1e64")] * 22]
    fuzz(check, changed(tables(*columns, separator="\t", max_rows=4)))


def test_avazu_files_are_read_as_by_pythons_csv_or_refused(tmp_path):
    def check(content, size):
        with small_chunks(size):
            agree(
                lambda path: rows_of(avazu.open_reader([path], {}), path),
                *(slow_avazu, content, tmp_path / "train.csv"),
            )

    hours = st.sampled_from(["14102100", "14102523", "14103107"])
    columns = [st.just("1"), st.sampled_from(["0", "1"]), hours, *[WORDS] * 3]
    columns += [st.just("a")] * (len(avazu.CATEGORIES) - 3)
    header = ",".join(["id", "click", "hour", *avazu.CATEGORIES])
    files = tables(*columns, separator=",", header=header, quoted=True, max_rows=4)
    fuzz(check, changed(files))


FIRST_IDS = st.sampled_from(["0:1", "1:1", "3:1", "02:1", "+3:1", "1:.5", "2:1e1"])
SECOND_IDS = st.sampled_from(["4:1", "5:1", "9:1", "7:-2", "+8:1", "009:1"])


@pytest.mark.parametrize(
    ("sizes", "slow"), [((), slow_by_position), (SIZES, slow_by_range)]
)
def test_libfm_files_are_read_as_by_splitting_lines_or_refused(tmp_path, sizes, slow):
    def check(content, size):
        options = {"field_sizes": sizes, "field_names": None}
        with small_chunks(size):
            agree(
                lambda path: weighted_rows(libfm.open_reader([path], options), path),
                *(slow, content, tmp_path / "rows.libfm"),
            )

    blanks = st.sampled_from(["", "", " ", "\t"])
    second = st.builds("".join, st.tuples(SECOND_IDS, blanks))
    fuzz(check, changed(tables(LABELS, FIRST_IDS, second, separator=" ")))


MOVIELENS = {
    "u.data": b"2\t10\t4\t300\n1\t11\t3\t100\n2\t11\t5\t200\n",
    "u.user": b"1|24|M|technician|85711\n2|53|F|other|V3N4P\n3|7|||\n",
    "u.item": b"10|\xc9mile|01-Jan-1995||http://x|0|1|1\n11|B|||http://y|0|0|0\n",
    "u.genre": b"unknown|0\nAction|1\nDrama|2\n\n",
}


def test_movielens_files_are_read_as_by_splitting_lines_or_refused(tmp_path):
    def check(changed_file, size):
        name, content = changed_file
        for other, whole_content in MOVIELENS.items():
            (tmp_path / other).write_bytes(whole_content)
        with small_chunks(size):
            agree(
                lambda path: rows_of(
                    movielens_100k.open_reader([tmp_path / "u.data"], {}),
                    tmp_path / "u.data",
                ),
                functools.partial(slow_movielens, name=name),
                *(content, tmp_path / name),
            )

    files = st.sampled_from(sorted(MOVIELENS)).flatmap(
        lambda name: st.tuples(st.just(name), changed(st.just(MOVIELENS[name])))
    )
    fuzz(check, files)
