import pathlib
import re

import pytest

from afm_jax.data.formats import encodings
from afm_jax.errors import InputError

PATH = pathlib.Path("rows.csv")
WORDS = "a,é\n€uro,ü\n\n日本,ß\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("utf-16", WORDS),
        ("utf-16-be", WORDS),
        ("utf-32", WORDS),
        ("utf-7", WORDS),
        ("shift-jis", "日本\nb\n"),
        ("gb18030", WORDS),
        ("iso2022-jp", "日本\nb\n"),
        ("cp1252", "é€\nü\n"),
        ("latin-1", "é\nü\n"),
    ],
)
def test_blocks_of_any_size_become_utf_8(encoding, words, size):
    recode, data = encodings.recoder(PATH, encoding), words.encode(encoding)
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    assert b"".join(map(recode, [*blocks, b""])) == words.encode()


def test_utf_8_stays_as_it_is():
    assert encodings.recoder(PATH, "utf-8")(b"\xff\xfe") == b"\xff\xfe"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("encoding", "data", "line"),
    [
        ("cp1252", b"a\nb\n\x81\nc\n", 3),
        (
            "utf-16",
            "a\nb\n".encode("utf-16") + b"\0\xdc" + "c\n".encode("utf-16-le"),
            3,
        ),
        ("utf-16", "a\nb".encode("utf-16") + b"\n", 2),
        ("utf-32", "a\nb\n".encode("utf-32") + b"\xff" * 9, 3),
        ("shift-jis", "日本\n".encode("shift-jis") + b"\xff\nc\n", 2),
        ("shift-jis", "日本\nb".encode("shift-jis") + b"\xff\nc\n", 2),
        ("unicode-escape", b"a\\nb\\ud800", 2),
        ("undefined", b"a\n", 1),
    ],
)
def test_bytes_that_are_no_text_in_it_are_named_by_their_line(
    encoding, data, line, size
):
    recode = encodings.recoder(PATH, encoding)
    told = f"rows.csv line {line}: bytes that are no text in {encoding}; give --enc"
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    with pytest.raises(InputError, match=re.escape(told)):
        b"".join(map(recode, [*blocks, b""]))


@pytest.mark.parametrize(
    ("text_in", "expected", "told"),
    [
        (
            "utf-16",
            "utf-8",
            "the text is in UTF-16; expected utf-8. Give --encoding=ut",
        ),
        ("utf-32", "utf-16", "the text is in UTF-32; expected utf-16"),
        ("utf-8-sig", "latin-1", "the text is in UTF-8; expected latin-1"),
        ("utf-16", "utf-16-le", None),
        ("utf-8-sig", "utf-8", None),
        ("latin-1", "utf-8", None),
    ],
)
def test_a_mark_of_another_encoding_is_refused(text_in, expected, told):
    head = "aé".encode(text_in)
    if told is None:
        encodings.refuse_other_mark(head, PATH, expected)
    else:
        with pytest.raises(InputError, match=f"rows.csv line 1: {told}"):
            encodings.refuse_other_mark(head, PATH, expected)
