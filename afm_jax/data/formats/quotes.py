"""Double quotes in CSV text: which open and close values, and which are mistakes.

A quote opens a quoted value where a value starts: at the start of the text, or behind a
separator or a line end. Anywhere else in an unquoted value it is a character like any other,
as in `7" screen`. In a quoted value, two quotes stand for one, and a single quote closes the
value; a separator or a line end must follow it (RFC 4180; Python's csv reads so, too).
"""

from typing import NamedTuple

import numpy as np

_QUOTE, _LINE_END = ord('"'), ord("\n")


class Quotes(NamedTuple):
    """The double quotes of a text that starts outside of a quoted value.

    Attributes:
        opens: int64 [N], positions of the quotes that open a value, in order.
        closes: int64 [N], positions of the quotes that close them; the length of the text for a
            last value that nothing closes.
        literals: int64 [M], positions of quotes that are characters of unquoted values.
        fault: position of the first closing quote that neither a separator nor a line end
            follows, or None. What stands behind it has no certain meaning.
    """

    opens: np.ndarray
    closes: np.ndarray
    literals: np.ndarray
    fault: int | None

    def unclosed(self, text: bytes) -> int | None:
        """The position of the quote that nothing in the text closes, or None."""
        is_open = self.opens.size and self.closes[-1] == len(text)
        return int(self.opens[-1]) if is_open else None

    def outside(self, text: bytes) -> np.ndarray:
        """bool [len(text)]: whether each byte lies outside of quoted values."""
        depth = np.zeros(len(text) + 2, np.int8)
        depth[self.opens] = 1
        depth[self.closes + 1] = -1
        return np.cumsum(depth, dtype=np.int8, out=depth)[: len(text)] == 0


def find(text: bytes, separator: str) -> Quotes:
    """Tells what each quote of a text is.

    Args:
        text: whole values; the first starts the text.
        separator: one ASCII character.
    """
    array = np.frombuffer(text, np.uint8)
    positions = np.flatnonzero(array == _QUOTE)
    # Quotes side by side are one run. A run of even length changes nothing behind it. One of odd
    # length opens or closes a value where a value may start, and anywhere else leaves it closed.
    first = np.flatnonzero(np.diff(positions, prepend=-2) > 1)
    starts = positions[first]
    lengths = np.diff(first, append=positions.size)
    before = array[starts - 1]
    at_start = (starts == 0) | (before == ord(separator)) | (before == _LINE_END)
    odd = (lengths & 1).astype(bool)
    turns = np.cumsum(odd & at_start)
    shut = np.maximum.accumulate(np.where(odd & ~at_start, turns, 0))
    inside = ((turns - shut) & 1).astype(bool)
    was_inside = np.append(False, inside[:-1])
    opened = ~was_inside & at_start
    closed = (was_inside & odd) | (opened & ~odd)
    closes = (starts + lengths - 1)[closed]
    return Quotes(
        starts[opened],
        np.append(closes, len(text)) if inside.any() and inside[-1] else closes,
        positions[np.repeat(~was_inside & ~at_start, lengths)],
        _fault(array, closes, separator),
    )


def _fault(array: np.ndarray, closes: np.ndarray, separator: str) -> int | None:
    inner = closes[closes < array.size - 1]
    after = array[inner + 1]
    strange = (after != ord(separator)) & (after != _LINE_END)
    return int(inner[strange.argmax()]) if strange.any() else None


def last_line_end(text: bytes, quotes: Quotes) -> int:
    """The last line end that lies outside of quoted values, or -1."""
    end = text.rfind(b"\n")
    while end >= 0:
        value = int(np.searchsorted(quotes.opens, end)) - 1
        if value < 0 or quotes.closes[value] < end:
            break
        end = text.rfind(b"\n", 0, int(quotes.opens[value]))
    return end


def quote_literals(text: bytes, quotes: Quotes, separator: str) -> bytes:
    """The same values with every unquoted value that holds quotes in quotes.

    Args:
        text: whole records, the last ending in a line end, without a fault.
        quotes: what `find` says of it.
        separator: that of the values.
    """
    array = np.frombuffer(text, np.uint8)
    limits = ((array == ord(separator)) | (array == _LINE_END)) & quotes.outside(text)
    ends = np.flatnonzero(limits)
    values = np.unique(np.searchsorted(ends, quotes.literals))
    starts = np.append(0, ends + 1)[values]
    added = np.concatenate([starts, ends[values], quotes.literals])
    return np.insert(array, np.sort(added), _QUOTE).tobytes()
