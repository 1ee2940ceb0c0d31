import gzip
import re

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


@pytest.mark.parametrize(("header", "data"), [(",n,c,m", False), ("y,,c,m", True)])
def test_an_index_without_a_name_is_not_taken_for_a_row_of_data(tmp_path, header, data):
    with pytest.raises(InputError) as raised:
        frame(tmp_path / "rows.csv", f"{header}\n1,2,3,4\n")
    assert ("--header=false" in str(raised.value)) == data


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


def read(path, content, *, written="utf-8", **options):
    """The rows of a file with the columns y, n and c."""
    path.write_bytes(content.encode(written))
    given = {**OPTIONS, "multi_valued": (), **options}
    reader = csv.open_reader([path], given)
    return [row for part in reader.parts(path) for row in part.parse().rows()]


BY_PLACE = {"header": False, "label": "0", "numeric": ("1",), "categorical": ("2",)}


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        (
            'y;n;c\n1;2;"a;b"\n0;;c,d\n',
            {"delimiter": ";"},
            [(1, 2, "a;b"), (0, None, "c,d")],
        ),
        ("y\tn\tc\r\n1\t2\ta\r\n", {"delimiter": "tab"}, [(1, 2, "a")]),
        ("y n c\n1 2 a\n", {"delimiter": "space"}, [(1, 2, "a")]),
        ("\ufeff1,2,a\n0,3,b\n", BY_PLACE, [(1, 2, "a"), (0, 3, "b")]),
        ('1,2,"a\nb"\n', BY_PLACE, [(1, 2, "a\nb")]),
        (
            'y;n;c\n1;"1,5";a.b\n0;-,25;\n',
            {"delimiter": ";", "decimal": ","},
            [(1, 1.5, "a.b"), (0, -0.25, None)],
        ),
        (
            'y,n,c\n1,"1,5",a\n"0,0",2,b\n',
            {"decimal": ","},
            [(1, 1.5, "a"), (0, 2, "b")],
        ),
        ('y.n.c\n1."1.5".a\n', {"delimiter": "."}, [(1, 1.5, "a")]),
        (
            "y,n,c\n1,NA,NA\n0,1,NAN2\n0,-9,N\n",
            {"na_values": ("NA", "N", "-99")},
            [(1, None, None), (0, 1, "NAN2"), (0, -9, None)],
        ),
        ('y,n,c\n1,"-9","é a"\n', {"na_values": ("-9", "é a")}, [(1, None, None)]),
        (
            'y,n,c\n1,2,"a\\"b"\n0,2,a\\,b\\\\\n',
            {"escape": True},
            [(1, 2, 'a"b'), (0, 2, "a,b\\")],
        ),
        (
            "y,n,c\n1,\\N,\\N\n0,2,C:\\new\\\n",
            {"escape": True, "na_values": ("\\N",)},
            [(1, None, None), (0, 2, "C:\\new\\")],
        ),
        ('y,n,c\n1,2,"a ""b"" \\""\n', {"escape": True}, [(1, 2, 'a "b" "')]),
        (
            "y;n;c\\;d\n1;2;a\n",
            {"escape": True, "delimiter": ";", "categorical": ("c;d",)},
            [(1, 2, "a")],
        ),
        ("y,n,c\n1,2,a\\,b\n", {"escape": True}, [(1, 2, "a,b")]),
        ("1\x01\x01a\n", {"delimiter": "\x01", **BY_PLACE}, [(1, None, "a")]),
    ],
)
def test_options_say_how_a_file_is_written(tmp_path, content, options, rows):
    assert read(tmp_path / "rows.csv", content, **options) == rows
    assert (
        read(
            tmp_path / "rows.csv",
            content,
            written="utf-16",
            encoding="utf-16",
            **options,
        )
        == rows
    )


def test_items_of_lists_that_na_values_name_are_missing(tmp_path):
    content = "y,n,c,m\n1,1,a,a|NA|b\n0,1,a,NA\n1,1,a,NAN2\n"
    found = frame(tmp_path / "rows.csv", content, na_values=("NA",))
    assert found["m"].to_list() == [["a", "b"], None, ["NAN2"]]


def test_times_may_have_a_decimal_comma(tmp_path):
    content = "y;n;c;t\n1;2;a;1,5\n0;3;b;2\n"
    options = {"delimiter": ";", "decimal": ",", "time": "t"}
    rows = read(tmp_path / "rows.csv", content, **options)
    assert rows == [(1, 2, "a", 1.5), (0, 3, "b", 2)]


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (
            "y;n;c\n1;2;a\n",
            {},
            "line 1 has no column 'y'; it has 'y;n;c'. The values seem to be separated by ';': give --delimiter=';'.",
        ),
        ("y\tn\tc\n", {}, "by tab: give --delimiter=tab."),
        ("y|n|c\n", {}, "by '|': give --delimiter='|'."),
        ("y n c\n", {}, "by space: give --delimiter=space."),
        ("y,n,c\n", {"delimiter": ";"}, "by ',': give --delimiter=','."),
        ('"y";n;"c,d"\n', {"categorical": ("c,d",)}, "by ';': give --delimiter=';'."),
        (
            "1;2;a\n",
            BY_PLACE,
            "it has '0'. The values seem to be separated by ';'",
        ),
        (
            "1,2,a\n",
            {},
            "it has '1', '2', 'a'. If the first line is a row of data, give --header=false; columns are then named by their place, from 0 on.",
        ),
        (
            "0,1,0\n",
            {"label": "0", "categorical": ("1",), "numeric": ()},
            "two columns named '0'. If the first line is a row of data, give --header=false",
        ),
        ("a,b,d\n", {}, "line 1 has no column 'y'; it has 'a', 'b', 'd'."),
        ("y n\n", {}, "line 1 has no column 'y'; it has 'y n'."),
        (
            "1,2,a\n",
            {"header": False},
            "it has '0', '1', '2'. With --header=false, columns are named by their place, from 0 on.",
        ),
        (
            "1,n,a\n",
            BY_PLACE,
            "line 1: 1 is 'n', expected a finite number. If line 1 holds names, leave out --header=false.",
        ),
        ("1,2,a\n0,b\n", BY_PLACE, "line 2: 2 columns, expected 3."),
        ("", BY_PLACE, " is empty; expected rows of data."),
        ("\ufeff", BY_PLACE, " is empty; expected rows of data."),
        (
            "y,n,c\n1,1,5,a\n",
            {"decimal": ","},
            "line 2: 4 columns, expected 3 (a number with a ',' stands in quotes where that is the delimiter, too).",
        ),
        (
            'y,n,c\n1,"1,5",a\n',
            {},
            "line 2: n is '1,5', expected a finite number. --decimal=, reads it.",
        ),
        (
            "y;n;c\n1;1.000;a\n",
            {"delimiter": ";", "decimal": ","},
            "line 2: n is '1.000', expected a finite number with a decimal comma and no points.",
        ),
        (
            "y;n;c\n1;1.000,5;a\n",
            {"delimiter": ";", "decimal": ","},
            "line 2: n is '1.000,5', expected",
        ),
        (
            "y,n,c\n1,NA,a\n",
            {},
            "line 2: n is 'NA', expected a finite number. --na_values=NA makes it missing.",
        ),
        (
            "y,n,c\n1, NA,a\n",
            {"na_values": ("NA",)},
            "line 2: n is ' NA', expected a finite number.",
        ),
        (
            "y,n,c,t\n1,2,a,NA\n",
            {"na_values": ("NA",), "time": "t"},
            "line 2: t is 'NA', expected a time, a number, or in all rows a date such as 2024-01-31. --na_values makes it missing.",
        ),
        (
            'y,n,c\n1,2,"a\\"b"\n',
            {},
            'behind the closing quote; a quote inside quotes must be doubled: "". --escape reads quotes behind a backslash.',
        ),
        (
            "y,n,c\n1,1\\,5,a\n",
            {"escape": True, "decimal": ","},
            "lines 2 to 2: could not parse `1,5`",
        ),
        ('y,n,c\n1,2,\\"a\n1,b,c\n', {"escape": True}, "line 3: n is 'b', expected"),
        ("y,n,c\n1,2,a\0b\n", {"escape": True}, "line 2: a zero byte; expected text."),
        ("y,n,c\n1,2,a\n", {"delimiter": "::"}, "--delimiter='::', expected tab"),
    ],
)
def test_what_an_option_would_read_is_told_in_one_line(
    tmp_path, content, options, told
):
    with pytest.raises(InputError, match=re.escape(told)) as error:
        read(tmp_path / "rows.csv", content, **options)
    assert "\n" not in str(error.value)
    assert "\0" not in str(error.value)
    if told.startswith("line 1 has"):
        assert str(error.value) == f"{tmp_path}/rows.csv {told}"


@pytest.mark.parametrize("zipped", [False, True])
def test_every_file_of_a_source_is_read_alike(tmp_path, zipped):
    paths = [tmp_path / f"{number}.csv" for number in range(2)]
    content = "y;n;c\n1;1,5;é\n".encode("cp1252")
    for path in paths:
        path.write_bytes(gzip.compress(content) if zipped else content)
    options = {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}
    given = {**OPTIONS, "multi_valued": (), **options}
    reader = csv.open_reader(paths, given)
    for path in paths:
        (part,) = reader.parts(path)
        assert part.parse().rows() == [(1.0, 1.5, "é")]
    paths[1].write_text("y,n,c\n1,2,a\n")
    with pytest.raises(InputError, match=r"1\.csv line 1 .* give --delimiter=','\."):
        csv.open_reader(paths, given)


def test_bytes_of_another_encoding_are_named_by_their_line(tmp_path):
    content = "y,n,c\n1,2,a\n0,3,é\n"
    with pytest.raises(
        InputError, match=r"line 3: byte 0xe9 is not UTF-8; .* take --encoding, such"
    ):
        read(tmp_path / "rows.csv", content, written="latin-1")
    with pytest.raises(InputError, match="line 1: the text is in UTF-8; expected iso"):
        read(tmp_path / "rows.csv", content, written="utf-8-sig", encoding="latin-1")
