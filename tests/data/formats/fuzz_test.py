"""Readers of text on files that are whole, odd or damaged, beside slow readers.

A file gives the rows that the slow reader finds, or one line that names the file and the line;
and only a file that the slow reader refuses, too, gives such a line.
"""

import functools
import pathlib
import re

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")
pytest.importorskip("hypothesis", reason="needs the extra 'test'")

import fuzzing
import numpy as np
import slow_readers
from hypothesis import strategies as st

from afm_jax.data.formats import csv, dialect, libffm, libfm, missing, quotes, text
from afm_jax.errors import InputError
from data.avazu import avazu_reader
from data.criteo import criteo_reader
from data.movielens_100k import movielens_100k_reader

CHOSEN = {
    **{"label": "y", "categorical": ("c",), "numeric": ("n",), "separator": "|"},
    **{"multi_valued": ("m",), "time": "t"},
}
LABELS = st.sampled_from(["0", "1", "1.0", "-1", "True"])
PROBABILITIES = st.sampled_from(["0", "1", "no", ".5", "0.025"])
WORDS = st.sampled_from(
    ["", "a", "bb", "nan", "Nan", "null", "é", 'x"', "7", "3.0", " "]
)
LISTS = st.sampled_from(["", "a", "a|b", "|", "nan|b||a", "a|NaN"])
NUMBERS = st.sampled_from(
    ["", "0", "-1.5", "+.5", "2.", "1e3", "nan", "NAN", " 4", " "]
)
TIMES = st.sampled_from(["0", "12", "1.5", "-3"])


def agree(read, slow, content, path):
    """Checks one file: rows equal the slow reader's, or both refuse and a line is named."""
    path.write_bytes(content)
    try:
        expected = slow(content)
    except slow_readers.Refused:
        expected = None
    try:
        found = read(path)
    except InputError as error:
        told = str(error)
        assert expected is None, told
        assert "\n" not in told
        assert len(told) < 1000
        place = re.search(rf"({re.escape(str(path.parent))}/\S+) line (\d+)", told)
        if not place:
            assert f"{path} is empty" in told
        else:
            lines = pathlib.Path(place[1]).read_bytes().count(b"\n") + 1
            assert 1 <= int(place[2]) <= lines
    else:
        assert found == expected


CSV_COLUMNS = (LABELS, WORDS, NUMBERS, WORDS, LISTS, TIMES)


def checked(open_reader, slow, path, *, weighted=False, **options):
    """A check of files of one format."""

    def check(content, size):
        with fuzzing.small_chunks(size):
            agree(
                lambda path: fuzzing.rows_of(
                    open_reader([path], options), path, weighted=weighted
                ),
                slow,
                content,
                path,
            )

    return check


def csv_check_and_files(folder, *, suffix="csv", delimiter=","):
    names = ("y", "n", "c", "m", "t")
    slow = functools.partial(slow_readers.csv, names=names, delimiter=delimiter)
    header = delimiter.join(["y", "u", "n", '"c"', " m ", "t"])
    words = fuzzing.quoted(WORDS, "a\nb", "\n\n", ",\t", '"\n\r"')
    values = (LABELS, NUMBERS, LISTS, TIMES)
    label, number, items, time = map(fuzzing.quoted, values)
    columns = (label, words, number, words, items, time)
    files = fuzzing.tables(*columns, separator=delimiter, header=header)
    check = checked(csv.open_reader, slow, folder / f"rows.{suffix}", **CHOSEN)
    return check, fuzzing.changed(files)


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_csv_files_are_read_as_by_pythons_csv_or_refused(tmp_path, suffix, delimiter):
    check, files = csv_check_and_files(tmp_path, suffix=suffix, delimiter=delimiter)
    fuzzing.run(check, files)


DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([";", ",", "\t", "|", " ", "\x01"]),
        "header": st.booleans(),
        "decimal": st.sampled_from([".", ","]),
        "encoding": st.sampled_from(
            ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252"]
        ),
        "na_values": st.sampled_from([(), ("NA",), ("N", "-1", "a|b", "é", " ")]),
    }
)


@st.composite
def csv_files(draw):
    """Options of a file, and its content, which may be damaged."""
    written = draw(DIALECTS)
    delimiter, decimal = written["delimiter"], written["decimal"]

    def column(values, *more):
        values = values.map(lambda value: value.replace(".", decimal))
        return fuzzing.quoted(values, *more).map(
            lambda value: (
                fuzzing.in_quotes(value)
                if delimiter in value and not value.startswith('"')
                else value
            )
        )

    words = column(WORDS | st.just("NA"), "a\nb", ",\t;")
    numbers = column(NUMBERS | st.sampled_from(written["na_values"][:2] or ["1e2"]))
    label, items, time = map(column, (LABELS, LISTS, TIMES))
    columns = (label, words, numbers, words, items, time)
    header = delimiter.join("yuncmt") if written["header"] else ""
    files = fuzzing.tables(*columns, separator=delimiter, header=header, max_rows=4)
    content = draw(files).decode().encode(written["encoding"])
    return written, draw(st.just(content) | fuzzing.changed(st.just(content)))


def test_csv_files_of_any_dialect_are_read_as_by_pythons_csv_or_refused(tmp_path):
    path = tmp_path / "rows.csv"

    def check(file, size):
        written, content = file
        y, n, c, m, t = names = tuple("yncmt" if written["header"] else "02345")
        chosen = {"label": y, "numeric": n, "categorical": c, "multi_valued": m}
        options = {**chosen, "time": t, "separator": "|", **written}
        slow = functools.partial(slow_readers.csv, names=names, **written)
        checked(csv.open_reader, slow, path, **options)(content, size)

    fuzzing.run(check, csv_files())


def test_criteo_files_are_read_as_by_splitting_lines_or_refused(tmp_path):
    columns = [st.sampled_from(["0", "1"]), *[NUMBERS] * 3]
    columns += [st.just("\t" * 9), *[WORDS] * 4]
    tail = "\t68fd1e64" * 22
    files = fuzzing.tables(*columns, separator="\t", tail=tail, max_rows=4)
    check = checked(
        criteo_reader.open_reader, slow_readers.criteo, tmp_path / "train.txt"
    )
    fuzzing.run(check, fuzzing.changed(files))


def test_avazu_files_are_read_as_by_pythons_csv_or_refused(tmp_path):
    hours = st.sampled_from(["14102100", "14102523", "14103107"])
    columns = [st.just("1"), st.sampled_from(["0", "1"]), hours]
    columns += [fuzzing.quoted(WORDS, "a\nb", ",")] * 3
    tail = ",a" * (len(avazu_reader.CATEGORIES) - 3)
    header = ",".join(["id", "click", "hour", *avazu_reader.CATEGORIES])
    files = fuzzing.tables(
        *columns, separator=",", header=header, tail=tail, max_rows=4
    )
    check = checked(
        avazu_reader.open_reader, slow_readers.avazu, tmp_path / "train.csv"
    )
    fuzzing.run(check, fuzzing.changed(files))


@pytest.mark.parametrize(
    ("sizes", "slow"),
    [
        ((), slow_readers.libfm_by_position),
        ((4, 6), functools.partial(slow_readers.libfm_by_range, sizes=(4, 6))),
    ],
)
def test_libfm_files_are_read_as_by_splitting_lines_or_refused(tmp_path, sizes, slow):
    first = ["0:1", "1:1", "3:1", "02:1", "+3:1", "1:.5", "2:1e1"]
    second = ["4:1", "5:1 ", "9:1", "7:-2", "+8:1\t", "009:1"]
    columns = (PROBABILITIES, st.sampled_from(first), st.sampled_from(second))
    options = {"field_sizes": sizes, "field_names": None}
    path = tmp_path / "rows.libfm"
    check = checked(libfm.open_reader, slow, path, weighted=True, **options)
    fuzzing.run(check, fuzzing.changed(fuzzing.tables(*columns, separator=" ")))


def test_libffm_files_are_read_as_by_splitting_lines_or_refused(tmp_path):
    tokens = ["0:1:1", "1:1:1", "+0:02:1", "2:7:.5", "2:7:1", "01:3:-2", "0:9:1 "]
    columns = (LABELS, *[st.sampled_from(tokens)] * 2)
    path, options = tmp_path / "rows.libffm", {"field_names": None}
    check = checked(
        libffm.open_reader, slow_readers.libffm, path, weighted=True, **options
    )
    files = fuzzing.changed(fuzzing.tables(*columns, separator=" "))
    fuzzing.run(check, files)


MOVIELENS = {
    "u.data": b"2\t10\t4\t300\n1\t11\t3\t100\n2\t11\t5\t200\n",
    "u.user": b"1|24|M|technician|85711\n2|53|F|other|V3N4P\n3|7|||\n",
    "u.item": b"10|\xc9mile|01-Jan-1995||http://x|0|1|1\n11|B|||http://y|0|0|0\n",
    "u.genre": b"unknown|0\nAction|1\nDrama|2\n\n",
}


@pytest.mark.parametrize("name", MOVIELENS)
def test_movielens_files_are_read_as_by_splitting_lines_or_refused(tmp_path, name):
    for other, content in MOVIELENS.items():
        (tmp_path / other).write_bytes(content)
    ratings = tmp_path / "u.data"

    def check(content, size):
        with fuzzing.small_chunks(size):
            agree(
                lambda _: fuzzing.rows_of(
                    movielens_100k_reader.open_reader([ratings], {}), ratings
                ),
                lambda content: slow_readers.movielens_100k(
                    {**MOVIELENS, name: content}
                ),
                content,
                tmp_path / name,
            )

    fuzzing.run(check, fuzzing.changed(st.just(MOVIELENS[name])), count=100)


# The fuzz must find faults that are put into the readers.


def cut_in_quotes(block, written, end_of_rows=text._end_of_rows):
    return end_of_rows(block, dialect.LINES)


def quotes_in_pairs(content, separator):
    """Quotes told by their number alone, as if each opened or closed a value."""
    places = [place for place, sign in enumerate(content) if sign == ord('"')]
    ends = places[1::2] + [len(content)] * (len(places) % 2)
    none = np.zeros(0, np.int64)
    return quotes.Quotes(np.array(places[::2], int), np.array(ends, int), none, None)


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [
        (text, "_end_of_rows", cut_in_quotes),
        (quotes, "find", quotes_in_pairs),
        (missing, "without_missing", lambda column, na_values: column),
    ],
)
def test_a_fault_in_the_reader_of_csv_is_found(
    tmp_path, monkeypatch, module, name, fault
):
    monkeypatch.setattr(module, name, fault)
    with pytest.raises(AssertionError):
        fuzzing.run(*csv_check_and_files(tmp_path), shrink=False)
