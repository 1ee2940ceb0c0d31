import pathlib

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import delimited, encodings, text
from afm_jax.data.formats.dialect import CSV, Dialect
from afm_jax.errors import InputError

TABS = Dialect("\t")
COMMAS = CSV.of_file(pathlib.Path("rows.csv"))
COLUMNS = {formats.LABEL: "label", "n": "number", "c": "text", "t": "time"}


def chunk(content, first_line=1, written=TABS):
    return text.Chunk(pathlib.Path("rows.txt"), first_line, content, 0, written)


def parse(content, written=TABS, first_line=1, **options):
    return delimited.parse(chunk(content, first_line, written), COLUMNS, **options)


def test_values_become_labels_numbers_and_text_and_empty_ones_null():
    frame = parse(b"1\t-2.5\tx\t7\n0\t\t\t8\n1\tnan\t1e3\t9\n")
    assert frame[formats.LABEL].to_list() == [1.0, 0.0, 1.0]
    assert frame[formats.LABEL].dtype == pl.Float32
    np.testing.assert_array_equal(frame["n"].fill_null(-1), [-2.5, -1, np.nan])
    assert frame["c"].to_list() == ["x", None, "1e3"]


def test_quoted_values_may_hold_separators_line_ends_and_quotes():
    content = b'1,2,"a,\n""b""",3\n0,,"",4\n'
    frame = parse(content, COMMAS)
    assert frame["c"].to_list() == ['a,\n"b"', None]
    assert frame["t"].to_list() == [3.0, 4.0]


def test_quotes_are_part_of_the_value_where_none_are_expected():
    assert parse(b'1\t2\t"x\t3\n')["c"].to_list() == ['"x']


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"1\t2\tx", "3 columns, expected 4 (label, a number)."),
        (b"1\t2\tx\t3\t4", "5 columns, expected 4 (label, a number)."),
        (b"", "1 column, expected 4 (label, a number)."),
        (b"2\t2\tx\t3", "the label is '2', expected 0 or 1."),
        (b"-1\t2\tx\t3", "the label is '-1', expected 0 or 1."),
        (b"\t2\tx\t3", "the label is '', expected 0 or 1."),
        (b"yes\t2\tx\t3", "the label is 'yes', expected 0 or 1."),
        (b"1\ttwo\tx\t3", "n is 'two', expected a finite number."),
        (b"1\tinf\tx\t3", "n is 'inf', expected a finite number."),
        (
            b"1\t2\tx\t",
            "t is '', expected a time, a number, or in all rows a date such as 2024-01-31.",
        ),
        (
            b"1\t2\t\xff\t3",
            "byte 0xff is not UTF-8; expected UTF-8 text. " + encodings.ADVICE,
        ),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2, 500])
def test_a_bad_line_is_named(line, told, place):
    good = [b"1\t2\tx\t3"] * place
    content = b"\n".join([*good, line, b"0\t\tx\t4", b"1\t2\tx\t3", b""])
    with pytest.raises(InputError) as error:
        parse(content, first_line=40, told="label, a number")
    assert str(error.value) == f"rows.txt line {40 + place}: {told}"


@pytest.mark.parametrize("text", ["1.5", "-1", "", "x", "1e3", "9" * 19, "9" * 5000])
def test_a_whole_number_is_of_0_or_more_and_of_64_bits(text):
    columns = {"id": "whole", "c": "text"}
    good = delimited.parse(chunk(b"+07\ta\n 3\tb\n"), columns)
    assert good["id"].to_list() == [7, 3]
    with pytest.raises(InputError, match=r"line 2: id is '.*, expected a whole number"):
        delimited.parse(chunk(b"1\ta\n%s\tb\n" % text.encode()), columns)


def test_a_line_too_long_and_one_too_short_do_not_make_up_for_each_other():
    with pytest.raises(InputError, match="line 1: 5 columns"):
        parse(b"1\t2\tx\t3\t4\n1\t2\tx\n")
    with pytest.raises(InputError, match="line 1: 3 columns"):
        parse(b"1\t2\tx\n1\t2\tx\t3\t4\n")


def test_a_bad_record_below_quoted_line_ends_is_named_by_its_line():
    content = b'1,2,"a\nb\nc",3\n0,x,"y",4\n'
    with pytest.raises(InputError, match="line 4: n is 'x'"):
        parse(content, COMMAS)


def test_a_quote_that_nothing_closes_is_an_error():
    with pytest.raises(
        InputError, match="line 2: a quote that nothing closes, in column 3"
    ):
        parse(b'1,2,x,3\n1,2,"x,3\n1,2,x,3\n', COMMAS)
