import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.errors import InputError
from data import readers
from data.readers import columns, csv

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
    (part,) = reader.parts(path)
    return part.parse()


def test_columns_go_by_name_and_others_are_left_out(tmp_path):
    content = 'other,m,y,n,c\nz,a|b,1,2.5,"x,\ny"\n,,-1,,\n,|a||,0,7,u\n'
    found = frame(tmp_path / "rows.csv", content)
    assert found.columns == [readers.LABEL, "n", "c", "m"]
    assert found[readers.LABEL].to_list() == [1.0, 0.0, 0.0]
    assert found["n"].to_list() == [2.5, None, 7.0]
    assert found["c"].to_list() == ["x,\ny", None, "u"]
    assert found["m"].to_list() == [["a", "b"], None, ["a"]]


def test_files_named_tsv_have_tabs(tmp_path):
    found = frame(tmp_path / "rows.tsv", "y\tc\n1\ta,b\n", numeric=(), multi_valued=())
    assert found["c"].to_list() == ["a,b"]


def test_the_time_column_may_be_a_feature_too(tmp_path):
    content = "y,n,c\n1,5,a\n0,4,b\n"
    found = frame(tmp_path / "rows.csv", content, time="n", multi_valued=())
    assert found[readers.TIME].to_list() == found["n"].to_list() == [5.0, 4.0]
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
        ("y,n,c", "no column 'm'; it has 'y', 'n', 'c'"),
        ("y,n,c,m,n", "two columns named 'n'"),
        ('y,"n', "line 1: a quote that nothing closes"),
    ],
)
def test_a_header_without_the_columns_is_an_error(tmp_path, header, told):
    with pytest.raises(InputError, match=told):
        frame(tmp_path / "rows.csv", f"{header}\n1,2,3,4\n")


def test_columns_must_be_named_once(tmp_path):
    for options, told in [
        ({"label": None}, "--label=NAME"),
        ({"categorical": (), "numeric": (), "multi_valued": ()}, "--categorical"),
        ({"categorical": ("n",)}, "'n' is named twice"),
        ({"numeric": ("y",)}, "'y' is named twice"),
        ({"separator": ""}, "--separator"),
    ]:
        with pytest.raises(InputError, match=told):
            columns.Chosen.of({**OPTIONS, **options})
