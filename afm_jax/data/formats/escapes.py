r"""Characters behind a backslash, hidden while text is cut into values.

A backslash before a double quote, the delimiter or a backslash makes that character a part
of the value. Before any other character a backslash is a character itself, so that
`C:\new` and `\N` stay as they are. `hide` puts two characters that are neither quotes nor
delimiters in the place of the pair, and `show` puts the character itself there.
"""

import polars as pl


def hide(text: bytes, delimiter: str) -> bytes:
    """The text with every pair of a backslash and its character hidden.

    Args:
        text: without zero bytes of its own. A backslash at its end that is not paired is
            left, so that the text may be continued and hidden once more.
        delimiter: one ASCII character.
    """
    # Backslashes first, in pairs from the left: the one left of a run escapes what follows.
    for sign, hidden in _hidden(delimiter).items():
        text = text.replace(f"\\{sign}".encode(), hidden.encode())
    return text


def show(value: str, delimiter: str) -> str:
    """The value with its hidden characters."""
    for sign, hidden in _hidden(delimiter).items():
        value = value.replace(hidden, sign)
    return value


def show_all(values: pl.Expr, delimiter: str) -> pl.Expr:
    """As `show`, of a column."""
    signs = _hidden(delimiter)
    return values.str.replace_many([*signs.values()], [*signs])


def _hidden(delimiter: str) -> dict[str, str]:
    return {"\\": "\0b", '"': "\0q", delimiter: "\0d"}
