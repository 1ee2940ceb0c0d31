import pathlib
import re

import pytest

from afm_jax.data.formats import dialect
from afm_jax.data.formats.dialect import Dialect
from afm_jax.errors import InputError


def test_without_options_a_csv_file_has_commas_and_a_tsv_file_tabs():
    found = Dialect.of_csv({})
    assert found == dialect.CSV == Dialect.of_csv({"label": "y"})
    assert found.of_file(pathlib.Path("rows.csv.gz")).delimiter == ","
    assert found.of_file(pathlib.Path("rows.tsv.gz")).delimiter == "\t"
    given = Dialect.of_csv({"delimiter": ";"})
    assert given.of_file(pathlib.Path("rows.tsv")) == given


@pytest.mark.parametrize(
    ("given", "sign"),
    [("tab", "\t"), ("\\t", "\t"), ("\t", "\t"), ("space", " "), (" ", " ")]
    + [(sign, sign) for sign in ",;|:^~\x01."],
)
def test_a_delimiter_is_a_character_or_the_word_of_one(given, sign):
    assert Dialect.of_csv({"delimiter": given}).delimiter == sign


@pytest.mark.parametrize(
    ("options", "told"),
    [
        *(
            ({"delimiter": sign}, f"--delimiter={sign!r}, expected tab, space, or one")
            for sign in ("", ";;", "\\x01", '"', "\n", "\r", "\0", "a", "7", "§", "Tab")
        ),
        ({"decimal": ";"}, "--decimal=;, expected . or a comma."),
        ({"decimal": ""}, "--decimal=, expected . or a comma."),
        ({"delimiter": "\\", "escape": True}, "--escape and --delimiter=\\ exclude"),
        *(
            ({"encoding": name}, f"--encoding={name} is no encoding of text; expected")
            for name in ("utf-9", "", "rot13", "base64", "a\0b")
        ),
    ],
)
def test_a_value_that_an_option_cannot_have_is_one_line(options, told):
    with pytest.raises(InputError, match=re.escape(told)) as error:
        Dialect.of_csv(options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((name, "utf-8") for name in ("UTF8", "utf_8", "utf-8-sig", "ascii")),
        ("latin1", "iso8859-1"),
        ("Windows-1252", "cp1252"),
        ("UTF16", "utf-16"),
    ],
)
def test_an_encoding_has_the_names_that_python_knows(name, found):
    assert dialect.encoding_of({"encoding": name}) == found


def test_a_delimiter_is_shown_as_one_types_it():
    told = [dialect.shown(sign) for sign in "\t ;|"]
    assert told == ["tab", "space", "';'", "'|'"]
    for sign, word in zip("\t ;|", told, strict=True):
        assert Dialect.of_csv({"delimiter": word.strip("'")}).delimiter == sign
