import re

import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.data.formats import libffm, text
from afm_jax.errors import InputError


def opened(path, content, **options):
    path.write_text(content)
    return libffm.open_reader([path], {"field_names": None, **options})


def frame(tmp_path, content, **options):
    path = tmp_path / "rows.libffm"
    (part,) = opened(path, content, **options).parts(path)
    return part.parse()


def test_a_row_has_any_number_of_features_of_a_field_in_any_order(tmp_path):
    found = frame(tmp_path, "1 4:3:1 2:9:1 4:1:1\n0 2:03:1\n-1\n0 4:2:1 +2:9:1.0\n")
    assert found.columns == [formats.LABEL, "field_2", "field_4"]
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 0.0, 0.0]
    assert found["field_2"].to_list() == [["9"], ["3"], None, ["9"]]
    assert found["field_4"].to_list() == [["3", "1"], None, None, ["2"]]


def test_values_stay_with_their_features(tmp_path):
    found = frame(tmp_path, "1 4:3:.5 2:9:2 4:1:-1\n0 2:3:1\n")
    assert found[formats.VALUES + "field_2"].to_list() == [[2.0], [1.0]]
    assert found[formats.VALUES + "field_4"].to_list() == [[0.5, -1.0], None]


def test_an_id_is_a_feature_of_its_field_alone(tmp_path):
    found = frame(tmp_path, "1 0:7:1 1:7:1\n")
    assert found["field_0"].to_list() == found["field_1"].to_list() == [["7"]]


@pytest.mark.parametrize("chunk_bytes", [3, 1 << 20])
def test_fields_of_all_files_are_found_in_the_order_of_their_numbers(
    tmp_path, monkeypatch, chunk_bytes
):
    monkeypatch.setitem(text.chunks.__kwdefaults__, "chunk_bytes", chunk_bytes)
    paths = [tmp_path / "0.libffm", tmp_path / "1.libffm"]
    paths[0].write_text("1 10:1:1\n0 9:1:1\n")
    paths[1].write_text("1\t9:2:1  8:1:1\n")
    reader = libffm.open_reader(paths, {"field_names": None})
    names = [column.name for column in reader.layout.columns]
    assert names == ["field_8", "field_9", "field_10"]
    (row,) = [part.parse() for part in reader.parts(paths[1])]
    assert row.row(0) == (1.0, ["1"], ["2"], None)
    named = libffm.open_reader(paths, {"field_names": ("a", "b", "c")})
    assert [column.name for column in named.layout.columns] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2 0:1:1", ": the label is '2', expected 0 or 1, or a probability"),
        ("1 0:1:1 1:2", ", column 3: '1:2', expected field:feature:value, three"),
        ("1 a:1:1", ", column 2: 'a:1:1', expected field:feature:value"),
        ("1 0:a:1", ", column 2: '0:a:1', expected field:feature:value"),
        ("1 0:1:a", ", column 2: '0:1:a', expected field:feature:value"),
        ("1 0:1:inf", ", column 2: '0:1:inf', expected field:feature:value"),
        ("1 0:1:1:1", ", column 2: '0:1:1:1', expected field:feature:value"),
        ("1 -1:1:1", ", column 2: '-1:1:1', expected field:feature:value"),
        ("1 0:1:1e39", ", column 2: '0:1:1e39', expected a value of at most"),
        ("1 0:1:1 1:1:1 00:01:2", ", column 4: id 0:1 is there twice."),
        ("1 0:2:1 1:1:1 0:2:1", ", column 4: id 0:2 is there twice."),
        ("1 18446744073709551616:1:1", ", column 2: id 18446744073709551616, expected"),
        ("1 0:1:1 # note", ", column 3: '#', expected field:feature:value"),
        ("", ": the label is '', expected 0 or 1, or a probability"),
    ],
)
def test_a_bad_line_is_named_with_its_column(tmp_path, line, told):
    path = tmp_path / "rows.libffm"
    with pytest.raises(InputError, match=re.escape(f"{path} line 2{told}")) as error:
        frame(tmp_path, f"1 0:1:1 1:2:1\n{line}\n0 1:1:1\n")
    assert "\n" not in str(error.value)


def test_files_of_other_formats_are_refused(tmp_path):
    with pytest.raises(InputError, match="line 1, column 2: '3:1', expected field"):
        frame(tmp_path, "1 3:1 4:1\n0 3:1 5:1\n")
    with pytest.raises(
        InputError, match="line 1: neither this row nor a later one has fe"
    ):
        frame(tmp_path, "1\n0\n")
    features_first = " ".join(f"{id}:0:1" for id in range(20_000))
    with pytest.raises(InputError, match="more than 10,000 fields up to line 1; exp"):
        frame(tmp_path, f"1 {features_first}\n")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("a",), "2 fields, expected 1 that differ (a)"),
        (("a", "a"), "2 fields, expected 2 that differ (a, a)"),
        (("^a$", "b"), "named '^a$' cannot be told from a pattern"),
    ],
)
def test_names_are_as_many_as_fields_and_differ(tmp_path, names, told):
    with pytest.raises(InputError, match=re.escape(told)):
        frame(tmp_path, "1 0:1:1 1:1:1\n", field_names=names)


def test_files_may_have_another_encoding(tmp_path):
    path = tmp_path / "rows.libffm"
    path.write_bytes("1 0:1:1\n0 0:2:1\n".encode("utf-16"))
    options = {"field_names": None, "encoding": "utf-16"}
    (part,) = libffm.open_reader([path], options).parts(path)
    assert part.parse()["field_0"].to_list() == [["1"], ["2"]]
