import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data.formats import missing


def test_empty_text_and_nan_in_any_case_are_missing_and_other_words_are_not():
    words = [
        "",
        "nan",
        "NaN",
        "NAN",
        None,
        " nan",
        "nans",
        "NA",
        "null",
        "\\N",
        "-",
        "0",
    ]
    found = pl.DataFrame({"c": words}).select(missing.without_missing(pl.col("c")))
    assert found["c"].to_list() == [None] * 5 + words[5:]


def test_items_of_lists_follow_the_same_rule():
    lists = pl.DataFrame({"m": [["a", "", "Nan"], [], None]})
    items = missing.without_missing(pl.element()).drop_nulls()
    assert lists.select(pl.col("m").list.eval(items))["m"].to_list() == [
        ["a"],
        [],
        None,
    ]


def test_na_values_are_missing_as_they_are_written_and_no_others():
    words = ["NA", "na", "NA2", " NA", "", "nan", "-", "é", "NULL"]
    column = missing.without_missing(pl.col("c"), ("NA", "-", "é"))
    found = pl.DataFrame({"c": words}).select(column)["c"].to_list()
    assert found == [None, "na", "NA2", " NA", None, None, None, None, "NULL"]
