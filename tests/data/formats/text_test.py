import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pytest

from afm_jax.data.formats import escapes, text
from afm_jax.data.formats.dialect import CSV, LINES, Dialect
from afm_jax.errors import InputError


def lines(rng, count):
    return [
        bytes(rng.integers(97, 123, rng.integers(0, 9), np.uint8)) for _ in range(count)
    ]


def archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("rows.csv", "a,b\n")
    return file.getvalue()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("chunk_bytes", [1, 7, 64, 4096])
def test_chunks_are_the_file_in_whole_lines_with_their_numbers(
    tmp_path, zipped, chunk_bytes
):
    written = lines(np.random.default_rng(chunk_bytes), 200)
    path = tmp_path / "rows.txt"
    content = b"\n".join(written) + b"\n"
    path.write_bytes(gzip.compress(content) if zipped else content)
    chunks = list(text.chunks(path, chunk_bytes=chunk_bytes))
    found = [line for chunk in chunks for line in chunk.text.split(b"\n")[:-1]]
    assert found == written
    for chunk in chunks:
        assert chunk.text.endswith(b"\n")
        assert written[chunk.first_line - 1] == chunk.text.split(b"\n")[0]
    assert chunks[-1].taken == path.stat().st_size


def test_a_last_line_without_line_end_gets_one(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a\nb")
    assert b"".join(chunk.text for chunk in text.chunks(path)) == b"a\nb\n"


def test_windows_line_ends_and_a_byte_order_mark_are_taken_out(tmp_path):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    assert b"".join(chunk.text for chunk in text.chunks(path)) == b"a\nb\n"


@pytest.mark.parametrize("chunk_bytes", [1, 5, 11, 4096])
def test_line_ends_in_quotes_do_not_end_a_record(tmp_path, chunk_bytes):
    records = [b'1,"two\nlines"\n', b'2,"a ""quote""\n\n"\n', b"3,x\n", b'"\n\n",4\n']
    path = tmp_path / "rows.csv"
    path.write_bytes(b"".join(records))
    chunks = list(text.chunks(path, CSV, chunk_bytes=chunk_bytes))
    starts = np.cumsum([0, *(len(record) for record in records)]).tolist()
    ends = np.cumsum([len(chunk.text) for chunk in chunks]).tolist()
    assert set(ends) <= set(starts)
    assert b"".join(chunk.text for chunk in chunks) == b"".join(records)
    below = b"".join(records)
    for chunk, end in zip(chunks, ends, strict=True):
        assert chunk.first_line == 1 + below.count(b"\n", 0, end - len(chunk.text))


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 4096])
@pytest.mark.parametrize("written", [LINES, CSV])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n \n\t\n\n", "\r\n\r\n", "\n  "])
def test_blank_lines_at_the_end_are_no_rows(tmp_path, chunk_bytes, written, end):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a\n\n \nb" + end.encode())
    chunks = text.chunks(path, written, chunk_bytes=chunk_bytes)
    assert b"".join(chunk.text for chunk in chunks) == b"a\n\n \nb\n"


@pytest.mark.parametrize("chunk_bytes", [1, 4096])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", " \n", "\r\n"])
@pytest.mark.parametrize("start", ["a", "\ufeffa", "a,b", "a\nb"])
def test_short_files_are_their_lines(tmp_path, chunk_bytes, end, start):
    path = tmp_path / "rows.txt"
    path.write_bytes((start + end).encode())
    whole = b"".join(chunk.text for chunk in text.chunks(path, chunk_bytes=chunk_bytes))
    blank = " " if end == " \n" else ""
    assert whole.decode() == start.removeprefix("\ufeff") + blank + "\n"


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4096])
@pytest.mark.parametrize("text_end", [b"1\t\t", b"x\t \t"])
def test_empty_values_at_the_end_of_a_row_stay(tmp_path, chunk_bytes, text_end):
    path = tmp_path / "rows.txt"
    path.write_bytes(b"a\tb\tc\n" + text_end + b"\n\n")
    chunks = text.chunks(path, chunk_bytes=chunk_bytes)
    assert b"".join(chunk.text for chunk in chunks) == b"a\tb\tc\n" + text_end + b"\n"


@pytest.mark.parametrize("chunk_bytes", [1, 2, 5, 4096])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\nb\rc\n", "line 2: a carriage return without a line feed"),
        (b"a\rb\rc\r", "line 1: a carriage return without a line feed"),
        (b"a\r\r\nb\n", "line 1: a carriage return without a line feed"),
        (b"a\nb\n\0c\n", "line 3: a zero byte"),
        ("a\nb\n".encode("utf-16-le"), "line 1: a zero byte"),
        ("a\nb\n".encode("utf-16"), "line 1: the text is in UTF-16; expected utf-8"),
        (b"a\nb \xef\xbb\xbf\n\xef\xbb\xbfc\n", "line 3: a byte order mark inside"),
        (b"\xef\xbb\xbf\xef\xbb\xbfc\n", "line 1: a byte order mark inside"),
        (b"\xfe\xff\0a\0\n", "line 1: the text is in UTF-16; expected utf-8"),
        ("a\nb\n".encode("utf-32"), "line 1: the text is in UTF-32; expected utf-8"),
    ],
)
def test_what_is_not_lines_of_text_is_an_error(tmp_path, chunk_bytes, content, told):
    path = tmp_path / "rows.txt"
    path.write_bytes(content)
    for written in (LINES, CSV):
        with pytest.raises(InputError, match=told):
            list(text.chunks(path, written, chunk_bytes=chunk_bytes))


def test_a_carriage_return_in_quotes_is_part_of_the_value(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'a,"b\rc"\r\n')
    (chunk,) = text.chunks(path, CSV)
    assert chunk.text == b'a,"b\rc"\n'
    path.write_bytes(b'7" a,"b\rc"\nx\ry\n')
    with pytest.raises(InputError, match="line 2: a carriage return"):
        list(text.chunks(path, CSV))


@pytest.mark.parametrize("chunk_bytes", [1, 5, 11, 4096])
def test_a_quote_inside_an_unquoted_value_opens_nothing(tmp_path, chunk_bytes):
    records = [b'1,7" wide\n', b'2,"a\n7"" b"\n', b'3,a"b"\n', b'""\n', b'4,"\n"\n']
    path = tmp_path / "rows.csv"
    path.write_bytes(b"".join(records))
    starts = np.cumsum([0, *map(len, records)]).tolist()
    ends = [0]
    for chunk in text.chunks(path, CSV, chunk_bytes=chunk_bytes):
        ends.append(ends[-1] + len(chunk.text))
    assert set(ends) <= set(starts)
    assert ends[-1] == starts[-1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(archive(), "is a zip archive or an Excel workbook", id="zip"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04", "is zipped by zstd", id="zstd"),
        pytest.param(lzma.compress(b"a,b\n"), "is zipped by xz", id="xz"),
        pytest.param(bz2.compress(b"a,b\n"), "is zipped by bzip2", id="bzip2"),
        pytest.param(
            gzip.compress(gzip.compress(b"a,b\n")), "is zipped twice", id="twice"
        ),
    ],
)
def test_a_file_that_is_zipped_in_another_way_is_told(tmp_path, content, told):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"rows\.csv {told}"):
        list(text.chunks(path, CSV))


def test_a_table_of_another_format_is_told(tmp_path):
    polars = pytest.importorskip("polars", reason="needs the extra 'data'")
    path = tmp_path / "rows.csv"
    for frame in (polars.DataFrame({"c": ["a", "b"]}), polars.DataFrame({"c": []})):
        frame.write_parquet(path)
        for content in (path.read_bytes(), gzip.compress(path.read_bytes())):
            path.write_bytes(content)
            with pytest.raises(
                InputError,
                match=r"rows\.csv is a Parquet file; expected lines of text: use --dataset=parquet\.$",
            ):
                list(text.chunks(path))
        frame.write_ipc(path)
        with pytest.raises(InputError, match=r"is an Arrow .* convert it to Parquet"):
            list(text.chunks(path))


def test_words_that_other_formats_begin_with_are_text(tmp_path):
    path = tmp_path / "rows.csv"
    for word in (b"PAR1", b"ARROW1", b"PK", b"BZh9"):
        path.write_bytes(word + b",y\n1,0\n")
        (chunk,) = text.chunks(path, CSV)
        assert chunk.text == path.read_bytes()


def test_an_empty_file_is_an_error(tmp_path):
    path = tmp_path / "rows.txt"
    for content in (b"", gzip.compress(b""), b"\xef\xbb\xbf", b"\n", b" \n\n\t"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"rows\.txt is empty"):
            list(text.chunks(path))


def test_a_truncated_gzip_is_an_error(tmp_path):
    path = tmp_path / "rows.txt.gz"
    content = b"".join(b"%d\n" % number for number in range(100000))
    path.write_bytes(gzip.compress(content)[:-5000])
    with pytest.raises(InputError, match=r"rows\.txt\.gz.*truncated.*after line \d+"):
        list(text.chunks(path, chunk_bytes=4096))


def test_a_corrupt_gzip_is_an_error(tmp_path):
    path = tmp_path / "rows.txt.gz"
    content = bytearray(gzip.compress(b"".join(b"%d\n" % i for i in range(100000))))
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="corrupt"):
        list(text.chunks(path))


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        list(text.chunks(tmp_path / "rows.txt"))


def test_an_open_quote_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "_LONGEST_RECORD", 1 << 20)
    path = tmp_path / "rows.csv"
    path.write_bytes(b'1,x\n2,"open\n' + b"3,x\n" * 400000)
    with pytest.raises(InputError, match="line 2: a quote that nothing closes"):
        list(text.chunks(path, CSV, chunk_bytes=1 << 16))


def test_a_checksum_is_that_of_zlib_and_tells_files_apart(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"123456789")
    two.write_bytes(b"123456780")
    assert text.checksum(one) == "crc32:cbf43926"  # the standard check value
    assert text.checksum(two) != text.checksum(one)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 4096])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "cp1252"])
def test_text_of_any_encoding_becomes_the_chunks_of_utf_8(
    tmp_path, encoding, zipped, chunk_bytes
):
    content = 'é,"ü\n"\r\n€,\n\nñ'
    path = tmp_path / "rows.csv"
    data = content.encode(encoding)
    path.write_bytes(gzip.compress(data) if zipped else data)
    written = Dialect(",", quoted=True, encoding=encoding)
    chunks = list(text.chunks(path, written, chunk_bytes=chunk_bytes))
    expected = content.replace("\r", "") + "\n"
    assert b"".join(chunk.text for chunk in chunks).decode() == expected
    assert all(chunk.dialect == written for chunk in chunks)
    for chunk in chunks:
        above = "".join(each.text.decode() for each in chunks[: chunks.index(chunk)])
        assert chunk.first_line == 1 + above.count("\n")
    if not zipped:
        assert chunks[-1].taken == len(data)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4096])
def test_escaped_quotes_and_delimiters_end_no_value(tmp_path, chunk_bytes):
    path = tmp_path / "rows.csv"
    records = [b'1,"a\\"\n"\n', b'2,\\"\n', b'3,\\\\\\",b\\\n', b'4,"\\\\"\n']
    path.write_bytes(b"".join(records))
    written = Dialect(",", quoted=True, escape=True)
    chunks = list(text.chunks(path, written, chunk_bytes=chunk_bytes))
    found = b"".join(chunk.text for chunk in chunks)
    assert found == b"".join(escapes.hide(record, ",") for record in records)
    ends = np.cumsum([len(escapes.hide(record, ",")) for record in records])
    assert {*np.cumsum([len(chunk.text) for chunk in chunks])} <= {*ends}


def test_a_zero_byte_is_not_taken_for_what_is_hidden(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b'1,"padding \\"\n\n\0"\n')
    written = Dialect(",", quoted=True, escape=True)
    with pytest.raises(InputError, match="line 3: a zero byte"):
        list(text.chunks(path, written, chunk_bytes=1))
