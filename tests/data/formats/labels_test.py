"""The rule for labels, in every format that has it."""

import re

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import csv, libffm, libfm, parquet
from afm_jax.errors import InputError

BARE = {
    **{"label": "y", "categorical": ("c",), "numeric": (), "multi_valued": ()},
    **{"separator": "|", "time": None, "field_sizes": (), "field_names": None},
}


def written(folder, form, values):
    """A reader's module, and a file with these labels."""
    path = folder / f"rows.{form.split()[0]}"
    if form == "csv":
        path.write_text("c,y\n" + "".join(f"a,{value}\n" for value in values))
    elif form.startswith("lib"):
        token = "1:1:1" if form == "libffm" else "1:1"
        path.write_text("".join(f"{value} {token}\n" for value in values))
    else:
        texts = [None if value == "" else str(value) for value in values]
        frame = pl.DataFrame({"y": texts, "c": ["a"] * len(values)})
        frame.write_parquet(path)
    modules = {"csv": csv, "parquet": parquet, "libffm": libffm}
    return modules.get(form, libfm), path


def labels(folder, form, values, **options):
    module, path = written(folder, form, values)
    sizes = {"field_sizes": (2,)} if form == "libfm by range" else {}
    reader = module.open_reader([path], {**BARE, **sizes, **options})
    (part,) = reader.parts(path)
    frame = part.parse()
    reader.check({name: frame[name] for name in frame.columns if name in ("field_0",)})
    return frame[formats.LABEL].to_list()


FORMS = ("csv", "parquet", "libfm", "libfm by range", "libffm")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (["0", "1", "1.0", "+1", "-0"], {}, [0, 1, 1, 1, 0]),
        (["-1", "1", "-1.0", "0"], {}, [0, 1, 0, 0]),
        (["TRUE", "False", "yes", "nO", "1", "0"], {}, [1, 0, 1, 0, 1, 0]),
        (["0.25", "1", "1e-3", "0"], {}, [0.25, 1, 0.001, 0]),
        (["buy", "view", "Buy"], {"positive": "buy"}, [1, 0, 0]),
        (["5", "5.0", "15", "nan_"], {"positive": "5"}, [1, 1, 0, 0]),
        (["4", "3.99", "1e2", "-7"], {"positive_from": 4.0}, [1, 0, 1, 0]),
        (["4", "0.1", "-7e3", "0"], {"real_labels": True}, [4, 0.1, -7000, 0]),
    ],
)
def test_values_become_labels_by_one_rule(tmp_path, form, values, options, expected):
    found = labels(tmp_path, form, values, **options)
    assert found == [pytest.approx(label, rel=1e-7) for label in expected]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("value", "options", "told"),
    [
        *(
            (value, {}, "0 or 1, or a")
            for value in ("2", "-0.5", "nan", "inf", "1e400")
        ),
        *((value, {}, "0 or 1, or a") for value in ("maybe", "0x1", "1_0")),
        ("good", {"positive_from": 4.0}, "a number, because of --positive_from=4"),
        ("inf", {"positive_from": 4.0}, "a number, because of --positive_from=4"),
        ("nan", {"positive": "1"}, "a label, '1' or another"),
        ("true", {"real_labels": True}, "a finite number of float32"),
        ("1e39", {"real_labels": True}, "a finite number of float32"),
        ("nan", {"real_labels": True}, "a finite number of float32"),
    ],
)
def test_a_value_that_is_no_label_is_named_with_its_place(
    tmp_path, form, value, options, told
):
    place = {"csv": "line 4: y is", "parquet": "row 3: y is"}.get(
        form, "line 3: the label is"
    )
    with pytest.raises(InputError, match=rf"{place} .*, expected {re.escape(told)}"):
        labels(tmp_path, form, ["1", "1", value, "0"], **options)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    "options", [{}, {"positive": "1"}, {"positive_from": 1.0}, {"real_labels": True}]
)
def test_a_missing_label_is_named(tmp_path, form, options):
    with pytest.raises(InputError, match=r"(line 4|row 3): y is (''|None), expected"):
        labels(tmp_path, form, ["1", "1", ""], **options)


@pytest.mark.parametrize("form", FORMS)
def test_what_all_rows_together_must_keep(tmp_path, form):
    told = "--positive=click: no row has this label; there are 'buy', 'view'"
    with pytest.raises(InputError, match=told):
        labels(tmp_path, form, ["buy", "view", "buy"], positive="click")
    told = (
        r"(line|row) \d.* is '(-1|0\.5)', expected labels of one kind, -1 and 1 or prob"
    )
    with pytest.raises(InputError, match=told):
        labels(tmp_path, form, ["0.5", "-1"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"positive": "1", "real_labels": True},
            "--positive and --real_labels are two",
        ),
        ({"positive_from": float("nan")}, "--positive_from=nan: expected a finite"),
    ],
)
def test_there_is_one_rule(tmp_path, form, options, told):
    with pytest.raises(InputError, match=told):
        labels(tmp_path, form, ["1", "0"], **options)


@pytest.mark.parametrize(
    ("column", "options", "expected"),
    [
        (pl.Series([True, False]), {}, [1, 0]),
        (pl.Series([True, False]), {"positive": "False"}, [0, 1]),
        (pl.Series([-1, 1], dtype=pl.Int8), {}, [0, 1]),
        (pl.Series([0.5, 1.0], dtype=pl.Float32), {}, [0.5, 1]),
        (pl.Series([5.0, 4.0]), {"positive": "5"}, [1, 0]),
        (pl.Series(["0.5", "3"]).cast(pl.Decimal(9, 1)), {"positive_from": 1}, [0, 1]),
        (pl.Series(["no", "yes"], dtype=pl.Categorical), {}, [0, 1]),
    ],
)
def test_parquet_has_labels_of_any_type(tmp_path, column, options, expected):
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"y": column, "c": ["a", "b"]}).write_parquet(path)
    reader = parquet.open_reader([path], {**BARE, **options})
    (part,) = reader.parts(path)
    assert part.parse()[formats.LABEL].to_list() == expected
    assert not str(part.parse()[formats.LABEL][0]).startswith("-")


def test_the_rule_is_told_in_words(tmp_path):
    for options, told, kind in [
        ({}, "y is 1", "binary"),
        ({"positive": "buy"}, "y is buy", "binary"),
        ({"positive_from": 4.0}, "y is 4 or more", "binary"),
        ({"real_labels": True}, "y as it is", "real"),
    ]:
        module, path = written(tmp_path, "csv", ["1"])
        layout = module.open_reader([path], {**BARE, **options}).layout
        assert (layout.label, layout.label_kind) == (told, kind)


def test_labels_and_weights_are_written_as_the_dialect_says(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("0,25;a;1,5\n1;b;2\nno;c;0,5\n")
    options = {"delimiter": ";", "decimal": ",", "header": False, "weight": "2"}
    options |= {"label": "0", "categorical": ("1",)}
    reader = csv.open_reader([path], {**BARE, **options})
    (part,) = reader.parts(path)
    assert part.parse()[formats.LABEL].to_list() == [0.25, 1, 0]
    assert part.parse()[formats.WEIGHT].to_list() == [1.5, 2, 0.5]
    path.write_text("0.25;a;1,5\n")
    with pytest.raises(InputError, match=r"line 1: 0 is '0\.25', expected 0 or 1"):
        next(reader.parts(path)).parse()


def test_a_label_that_is_named_as_missing_is_missing(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("c,y\na,buy\nb,NA\n")
    options = {"positive": "buy", "na_values": ("NA",)}
    reader = csv.open_reader([path], {**BARE, **options})
    with pytest.raises(InputError, match="line 3: y is 'NA', expected a label"):
        next(reader.parts(path)).parse()
