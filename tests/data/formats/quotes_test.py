import csv
import io

import numpy as np
import pytest

from afm_jax.data.formats import quotes


def read_slowly(text, separator):
    """What `quotes.find` tells, character by character."""
    opens, closes, literals = [], [], []
    place, inside, at_start = 0, False, True
    while place < len(text):
        sign = text[place]
        following = text[place + 1 : place + 2]
        if inside and sign == '"' and following == '"':
            place += 1
        elif inside and sign == '"':
            closes.append(place)
            inside = False
            if following not in ("", separator, "\n"):
                return opens, closes, literals, place
        elif sign == '"' and at_start:
            opens.append(place)
            inside = True
        elif sign == '"' and not inside:
            literals.append(place)
        at_start = not inside and sign in (separator, "\n")
        place += 1
    return opens, closes + [len(text)] * inside, literals, None


def random_texts(count=3000):
    rng = np.random.default_rng(3)
    signs = np.array(['"', '"', ",", "\n", "a"])
    for length in rng.integers(0, 14, count):
        yield "".join(rng.choice(signs, length)) + "\n"


def test_every_quote_is_told_as_a_reader_of_single_characters_does():
    for text in random_texts():
        found = quotes.find(text.encode(), ",")
        opens, closes, literals, fault = read_slowly(text, ",")
        assert found.fault == fault, text
        if fault is None:
            assert found.opens.tolist() == opens, text
            assert found.closes.tolist() == closes, text
            assert found.literals.tolist() == literals, text
            unclosed = opens[-1] if opens and closes[-1] == len(text) else None
            assert found.unclosed(text.encode()) == unclosed, text


def test_line_ends_outside_of_values_are_those_of_pythons_csv():
    for text in random_texts():
        data = text.encode()
        found = quotes.find(data, ",")
        if found.fault is None and found.unclosed(data) is None:
            outside = found.outside(data)
            ends = [i for i, sign in enumerate(text) if sign == "\n" and outside[i]]
            assert len(ends) == len(list(csv.reader(io.StringIO(text, newline=""))))
            assert quotes.last_line_end(data, found) == ends[-1]


def test_values_in_added_quotes_are_the_same_values():
    for text in random_texts():
        data = text.encode()
        found = quotes.find(data, ",")
        if found.fault is None and found.unclosed(data) is None:
            strict = quotes.quote_literals(data, found, ",").decode()
            assert [*csv.reader(io.StringIO(strict, newline=""), strict=True)] == [
                *csv.reader(io.StringIO(text, newline=""))
            ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [('a,"b"c\n', 4), ('"a\\"b"\n', 3), ('"a" ,b\n', 2), ('7" w,x"",""\n', None)],
)
def test_only_a_separator_or_a_line_end_may_follow_a_closing_quote(text, fault):
    assert quotes.find(text.encode(), ",").fault == fault


def test_an_open_value_has_no_line_end_outside():
    data = b'"a\nb\n'
    found = quotes.find(data, ",")
    assert found.unclosed(data) == 0
    assert quotes.last_line_end(data, found) == -1
