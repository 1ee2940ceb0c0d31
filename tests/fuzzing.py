"""What the fuzz tests of the readers share: odd files, a run, the rows of a reader."""

import contextlib
import functools
import math

import hypothesis
import polars as pl
import pytest
from hypothesis import strategies as st

from afm_jax.data import formats
from afm_jax.data.formats import text

SIGNS = b'"",,\t| \n\r\\\0\xff017+-.:e#x\x0b'
PIECES = [bytes([sign]) for sign in SIGNS]
PIECES += [b'""', b"\n\n", b"\r\n", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xff\xfe"]
PIECES += [b"nan", b"NaN", b"inf", b"1:1", b" 1:1", b'\n"', b'",']
FILES = 300


def changed(files):
    """Bytes of `files`, some as they are and some with a few changes of bytes or lines."""
    kinds = st.sampled_from(
        ["insert", "insert", "replace", "delete", "cut", "copy", "swap"]
    )
    steps = st.lists(
        st.tuples(kinds, st.integers(0, 10**6), st.sampled_from(PIECES)), max_size=3
    )
    return st.builds(functools.partial(functools.reduce, change), steps, files)


def change(content, step):
    """The content with one step made: what, where, and with which piece."""
    kind, place, piece = step
    lines = content.split(b"\n")
    place, line = place % (len(content) + 1), place % len(lines)
    if kind == "insert":
        return content[:place] + piece + content[place:]
    if kind == "replace":
        return content[:place] + piece + content[place + len(piece) :]
    if kind == "delete":
        return content[:place] + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    other = lines.pop(line) if kind == "swap" else lines[line]
    lines.insert(line // 2, other)
    return b"\n".join(lines)


def tables(*columns, separator, header="", tail="", max_rows=7):
    """Text files with rows of values drawn from the columns, and the tail, alike in all."""
    rows = st.lists(
        st.tuples(*columns).map(separator.join).map(lambda row: row + tail),
        min_size=1,
        max_size=max_rows,
    )
    ends = st.sampled_from(["", "\n", "\n", "\n\n", "\n \n", "\r\n"])
    line_ends = st.sampled_from(["\n", "\n", "\r\n"])
    return st.builds(
        lambda rows, end, line_end: (
            line_end.join([header] * bool(header) + rows) + end
        ).encode(),
        rows,
        ends,
        line_ends,
    )


def quoted(values, *more):
    """The values as they are or in quotes, and more, which need quotes."""
    return values | st.one_of(values, st.sampled_from([*more, ""])).map(in_quotes)


def in_quotes(value):
    """The value as CSV encloses it."""
    return '"' + value.replace('"', '""') + '"'


# What hypothesis draws, it draws alike in every run.
def run(check, files, *, count=FILES, shrink=True):
    """Calls the check on `count` files, each with a size of chunks."""
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    run = hypothesis.given(files, st.sampled_from([2, 16, 64, 8 << 20]))(check)
    hypothesis.settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=phases + [hypothesis.Phase.shrink] * shrink,
        suppress_health_check=list(hypothesis.HealthCheck),
    )(run)()


@contextlib.contextmanager
def small_chunks(size):
    """Lets readers take this many bytes of a file at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(text.chunks.__kwdefaults__, "chunk_bytes", size)
        yield


def rows_of(reader, path, *, weighted=False):
    """The rows of a file as tuples: label, columns, values if weighted, time if any."""
    frames = [part.parse() for part in reader.parts(path)]
    names = [column.name for column in reader.layout.columns]
    if reader.check and frames:
        reader.check({name: pl.concat([f[name] for f in frames]) for name in names})
    time = [formats.TIME] if reader.layout.order == formats.TIME else []
    rows = []
    for frame in frames:
        assert frame[formats.LABEL].dtype == pl.Float32
        values = [_values(frame, name) for name in names if weighted]
        for row in frame.select(formats.LABEL, *names, *values, *time).iter_rows():
            rows.append(tuple(None if _is_nan(value) else value for value in row))
    return rows


def _values(frame, name):
    """The values of a column, which a frame leaves out where all are 1."""
    values = formats.VALUES + name
    if values in frame.columns:
        return pl.col(values)
    if frame.schema[name] == pl.List:
        ones = pl.element().is_not_null().cast(pl.Float32)
        return pl.col(name).list.eval(ones).alias(values)
    return pl.lit(1.0).alias(values)


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)
