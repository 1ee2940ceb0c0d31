import pathlib

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data.formats import records, text
from afm_jax.data.formats.dialect import Dialect

COMMAS = Dialect(",", quoted=True)


def chunk(content, first_line=1, written=COMMAS):
    return text.Chunk(pathlib.Path("rows.txt"), first_line, content, 0, written)


def test_the_lines_of_rows_are_those_of_the_file():
    content = b'1,2,"a\n\n",3\n0,,7",4\n0,,"b\n",4\n0,,,4\n'
    rows = chunk(content, 10)
    places = [records.where(rows, row) for row in range(4)]
    assert places == [f"rows.txt line {line}" for line in (10, 13, 14, 16)]


def test_a_record_has_its_line_its_end_and_its_values():
    content = b'1,"a\n""b"""\n,\n'
    first, second = records.of(chunk(content))
    assert first == (1, 11, ["1", 'a\n"b"'])
    assert second == (3, 13, ["", ""])
    assert content[first.stop : first.stop + 1] == b"\n"


def test_quotes_are_signs_like_others_where_none_enclose_values():
    (record,) = records.of(chunk(b'"a,b"\n', written=Dialect(",")))
    assert record.values == ['"a', 'b"']
