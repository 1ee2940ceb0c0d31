"""The reader of parquet on whole and damaged files.

Values are compared where the file is whole. Damage, which parquet need not show, leaves as many
rows as the file says, or gives one line that names the file.
"""

import functools
import math

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")
pytest.importorskip("hypothesis", reason="needs the extra 'test'")

import fuzzing
import polars as pl
from hypothesis import strategies as st

from afm_jax.data.formats import parquet
from afm_jax.errors import InputError

CHOSEN = {
    **{"label": "y", "categorical": ("c",), "numeric": ("n",), "separator": "|"},
    **{"multi_valued": ("m",), "time": "t"},
}
TYPES = {
    **{"y": pl.Int8, "n": pl.Float32, "c": pl.String},
    **{"m": pl.List(pl.String), "t": pl.Int64},
}
ITEMS = [None, "", "nan", "a", "\u00e9", "null"]
SOUND = {
    "y": st.sampled_from([0, 1, -1]),
    "n": st.sampled_from([None, 0.5, -1.0, math.nan]),
    "c": st.sampled_from(ITEMS),
    "m": st.none() | st.lists(st.sampled_from(ITEMS), max_size=3),
    "t": st.sampled_from([0, 7, -(2**60)]),
}
WRONG = {"y": [2, None], "n": [math.inf], "t": [None]}


def files():
    """Rows, and steps that damage their file."""
    rows = st.lists(st.fixed_dictionaries(SOUND), max_size=9)
    wrong = st.sampled_from([(name, value) for name in WRONG for value in WRONG[name]])
    spoilt = st.builds(_spoilt, rows, st.integers(0, 8), wrong)
    kinds = st.sampled_from(["insert", "replace", "replace", "delete", "cut"])
    places = st.integers(0, 10**6)
    damage = st.tuples(kinds, places, st.binary(min_size=1, max_size=3))
    return st.tuples(rows | rows | spoilt, st.lists(damage, max_size=2))


def _spoilt(rows, place, wrong):
    name, value = wrong
    return [{**row, name: value} if i == place else row for i, row in enumerate(rows)]


def expected(rows):
    """The rows as the reader should give them, None if one is wrong."""
    if any(row[name] in values for row in rows for name, values in WRONG.items()):
        return None
    return [
        (
            float(row["y"] > 0),
            None if row["n"] is None or math.isnan(row["n"]) else row["n"],
            row["c"] if _is_there(row["c"]) else None,
            None
            if row["m"] is None
            else [item for item in row["m"] if _is_there(item)],
            row["t"],
        )
        for row in rows
    ]


def _is_there(item):
    return item not in (None, "", "nan")


def test_parquet_files_are_read_as_they_were_written_or_refused(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 4)

    def check(file, group):
        rows, damage = file
        pl.DataFrame(rows, schema=TYPES).write_parquet(path, row_group_size=group)
        written = path.read_bytes()
        content = functools.reduce(fuzzing.change, damage, written)
        path.write_bytes(content)
        found, told = None, ""
        try:
            found = fuzzing.rows_of(parquet.open_reader([path], CHOSEN), path)
        except InputError as error:
            told = str(error)
        if content == written:
            assert found == expected(rows), told
        if found is None:
            assert str(path) in told
            assert "\n" not in told
        else:
            assert len(found) == pl.scan_parquet(path).select(pl.len()).collect().item()

    fuzzing.run(check, files())
