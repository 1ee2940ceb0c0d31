import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.formats import columns, csv
from afm_jax.errors import InputError

OPTIONS = {
    "label": "y",
    "categorical": ("c",),
    "numeric": ("n",),
    "multi_valued": ("m",),
    "separator": "|",
    "time": None,
}


def frame(path, content, **options):
    path.write_text(content)
    reader = csv.open_reader([path], {**OPTIONS, **options})
    return pl.concat([part.parse() for part in reader.parts(path)])


def test_columns_go_by_name_and_others_are_left_out(tmp_path):
    content = 'other,m,y,n,c\nz,a|b,1,2.5,"x,\ny"\n,,-1,,\n,|a||,0,7,u\n'
    found = frame(tmp_path / "rows.csv", content)
    assert found.columns == [formats.LABEL, "n", "c", "m"]
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 0.0]
    assert found["n"].to_list() == [2.5, None, 7.0]
    assert found["c"].to_list() == ["x,\ny", None, "u"]
    assert found["m"].to_list() == [["a", "b"], None, ["a"]]


def test_files_named_tsv_have_tabs(tmp_path):
    found = frame(tmp_path / "rows.tsv", "y\tc\n1\ta,b\n", numeric=(), multi_valued=())
    assert found["c"].to_list() == ["a,b"]


def test_the_time_column_may_be_a_feature_too(tmp_path):
    content = "y,n,c\n1,5,a\n0,4,b\n"
    found = frame(tmp_path / "rows.csv", content, time="n", multi_valued=())
    assert found[formats.TIME].to_list() == found["n"].to_list() == [5.0, 4.0]
    with pytest.raises(InputError, match="line 3: n is '', expected a time"):
        frame(
            tmp_path / "rows.csv", content.replace("4", ""), time="n", multi_valued=()
        )


def test_lines_count_from_the_top_of_the_file(tmp_path):
    content = 'y,n,c,m,"a\nquote"\n1,5,a,,\n0,five,b,,\n'
    with pytest.raises(InputError, match="line 4: n is 'five'"):
        frame(tmp_path / "rows.csv", content)


def test_a_header_alone_has_no_rows(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("y,n,c,m\n")
    assert list(csv.open_reader([path], OPTIONS).parts(path)) == []


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("y,n,c", "line 1 has no column 'm'; it has 'y', 'n', 'c'"),
        ("y,n,c,m,n", "line 1 has two columns named 'n'"),
        ("y,n,c,m, n ", "line 1 has two columns named 'n'"),
        ('y,"n', "line 1: a quote that nothing closes"),
        ('y,"n"x,c,m', "line 1, column 2: 'x,c,m' stands behind the closing quote"),
        ("", "line 1 has no column 'y'; it has ''"),
        (",".join(map(str, range(99))), "no column 'y'; .* '49', ... .99 columns"),
        ("y" * 5000, "no column 'y'; it has '" + "y" * 80 + "'..."),
    ],
)
def test_a_header_without_the_columns_is_an_error(tmp_path, header, told):
    with pytest.raises(InputError, match=told):
        frame(tmp_path / "rows.csv", f"{header}\n1,2,3,4\n")


@pytest.mark.parametrize(
    "header",
    [
        "y,n,c,m,u,u",
        "y,n,c,m,,",
        '"y", n,c ,"m\t",u,"u ""x"", y"',
        "y,n,c,m,u," + "v" * 150_000,
        "y,n,c,m,\x0clabel,y\u00a0 u",
    ],
)
def test_columns_that_are_not_used_may_have_any_names(tmp_path, header):
    found = frame(tmp_path / "rows.csv", f"{header}\n1,2,a,x|y,p,q\n0,,b,,,\n")
    assert found.columns == [formats.LABEL, "n", "c", "m"]
    assert found.rows() == [(1.0, 2.0, "a", ["x", "y"]), (0.0, None, "b", None)]


def test_a_quote_inside_an_unquoted_value_is_a_character(tmp_path):
    rows = ['1,1,7" wide,x', '0,2,a"b",7"|8"', '1,3,"7"" w",', "0,4,c,d"]
    found = frame(tmp_path / "rows.csv", "\n".join(["y,n,c,m", *rows]) + "\n")
    assert found["c"].to_list() == ['7" wide', 'a"b"', '7" w', "c"]
    assert found["m"].to_list() == [["x"], ['7"', '8"'], None, ["d"]]
    assert found["n"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            '1,1,"a \\"b\\"",x',
            r"line 4, column 3: 'b.*' stands behind the closing quote",
        ),
        ('1,1,"a"b,x', "line 4, column 3: 'b,x' stands behind the closing quote"),
        ('1,1,"a" ,x', "line 4, column 3: ' ,x' stands behind the closing quote"),
        ('1,1,"a,x', "line 4: a quote that nothing closes, in column 3"),
        ('1,1,7","a', "line 4: a quote that nothing closes, in column 4"),
        (
            '1,1,"a\\""\n1,1,"b",x',
            "line 5, .* value that opens in line 4; a quote inside",
        ),
        ('1,1,7",x"\n1,one,a,b', "line 5: n is 'one'"),
        ('1,1,7"\n1,one,a,b"', "line 4: 3 columns, expected 4"),
        ('1,one,"a\nb",x', "line 4: n is 'one'"),
        ("", "line 4: 1 column, expected 4"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(tmp_path, row, told):
    good = '0,2,"b\nb",\n'
    with pytest.raises(InputError, match=rf"rows\.csv {told}") as error:
        frame(tmp_path / "rows.csv", f"y,n,c,m\n{good}{row}\n0,2,b,\n")
    assert "\n" not in str(error.value)


def test_the_words_of_missing_values_are_those_of_every_format(tmp_path):
    rows = ["1,nan,nan,x", "0,NaN,,x", "1,-nan,NAN,x", '0,"","nan",x', "1,  ,null,x"]
    found = frame(tmp_path / "rows.csv", "\n".join(["y,n,c,m", *rows]))
    assert found["n"].fill_nan(None).to_list() == [None] * 5
    assert found["c"].to_list() == [None, None, None, None, "null"]


def test_columns_must_be_named_once(tmp_path):
    for options, told in [
        ({"label": None}, "--label=NAME"),
        ({"categorical": (), "numeric": (), "multi_valued": ()}, "--categorical"),
        ({"categorical": ("n",)}, "'n' is named twice"),
        ({"numeric": ("y",)}, "'y' is named twice"),
        ({"separator": ""}, "--separator"),
    ]:
        with pytest.raises(InputError, match=told):
            columns.Chosen.of({**OPTIONS, **options}, list)
