import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.formats import joins

FRAME = pl.DataFrame({"k": [2, 3, 1, 2]})


def test_columns_are_looked_up_and_rows_stay_as_they_are():
    table = pl.DataFrame({"k": [1, 2], "x": ["a", "b"]})
    found = joins.add_columns(FRAME, table, on="k")
    assert found.rows() == [(2, "b"), (3, None), (1, "a"), (2, "b")]


def test_a_key_that_would_double_rows_is_an_error():
    table = pl.DataFrame({"k": [1, 2, 1], "x": ["a", "b", "c"]})
    with pytest.raises(ValueError, match="made 5 rows of 4"):
        joins.add_columns(FRAME, table, on="k")
