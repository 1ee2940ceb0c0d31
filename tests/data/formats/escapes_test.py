import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.formats import escapes


def read_slowly(text, delimiter):
    """The text's characters one by one, each with whether a backslash stood before it."""
    signs, place = [], 0
    while place < len(text):
        pair = text[place : place + 2]
        escaped = len(pair) == 2 and pair[0] == "\\" and pair[1] in f'"\\{delimiter}'
        signs.append((pair[1] if escaped else pair[0], escaped))
        place += 1 + escaped
    return signs


def random_texts(count=2000):
    rng = np.random.default_rng(5)
    signs = np.array(["\\", "\\", '"', ";", "a", "\n", "q"])
    for length in rng.integers(0, 12, count):
        yield "".join(rng.choice(signs, length))


def test_what_is_hidden_is_shown_as_a_reader_of_single_characters_has_it():
    for text in random_texts():
        hidden = escapes.hide(text.encode(), ";").decode()
        signs = read_slowly(text, ";")
        assert escapes.show(hidden, ";") == "".join(sign for sign, _ in signs)
        for sign in '";':
            assert hidden.count(sign) == signs.count((sign, False)), text


def test_a_text_may_be_hidden_piece_by_piece():
    for text in random_texts(500):
        whole = escapes.hide(text.encode(), ";")
        for cut in range(len(text)):
            first = escapes.hide(text[:cut].encode(), ";")
            assert escapes.hide(first + text[cut:].encode(), ";") == whole


def test_a_column_is_shown_as_each_value():
    values = [escapes.hide(text.encode(), ";").decode() for text in random_texts(200)]
    column = pl.Series("c", [*values, None]).to_frame()
    shown = column.select(escapes.show_all(pl.col("c"), ";"))["c"].to_list()
    assert shown == [*(escapes.show(value, ";") for value in values), None]
