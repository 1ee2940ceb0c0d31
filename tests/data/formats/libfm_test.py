import re

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.data.formats import libfm, sources, text
from afm_jax.data.preparation import spill
from afm_jax.errors import InputError


def opened(path, content, **options):
    path.write_text(content)
    given = {"field_sizes": (), "field_names": None, **options}
    return libfm.open_reader([path], given)


def frame(tmp_path, content, **options):
    path = tmp_path / "rows.libfm"
    (part,) = opened(path, content, **options).parts(path)
    return part.parse()


def test_features_are_fields_by_position(tmp_path):
    found = frame(tmp_path, "-1 7:1 20:1\n1 8:1 20:1\n0 3:1 4:1.0\n")
    assert found[formats.LABEL].to_list() == [0.0, 1.0, 0.0]
    assert found["field_0"].to_list() == ["7", "8", "3"]
    assert found["field_1"].to_list() == ["20", "20", "4"]
    assert found.width == 3  # all values are 1, so that there are none


def test_values_are_kept_if_any_is_not_1(tmp_path):
    found = frame(tmp_path, "1 7:1 20:0.5\n0 8:-2e1 20:1\n")
    assert found[formats.VALUES + "field_0"].to_list() == [1.0, -20.0]
    assert found[formats.VALUES + "field_1"].to_list() == [0.5, 1.0]


def test_features_are_fields_by_range(tmp_path):
    content = "1 9:1 0:1\n0 1:1\n1\n0 12:1 3:1 11:1 2:1\n"
    found = frame(tmp_path, content, field_sizes=(3, 7, 3), field_names=tuple("abc"))
    assert found["a"].to_list() == [["0"], ["1"], None, ["2"]]
    assert found["b"].to_list() == [["9"], None, None, ["3"]]
    assert found["c"].to_list() == [None, None, None, ["12", "11"]]
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 1.0, 0.0]


def test_values_by_range_stay_with_their_features(tmp_path):
    found = frame(tmp_path, "1 4:4 0:0.5 3:3\n0 1:1\n", field_sizes=(3, 2))
    assert found["field_1"].to_list() == [["4", "3"], None]
    assert found[formats.VALUES + "field_1"].to_list() == [[4.0, 3.0], None]
    assert found[formats.VALUES + "field_0"].to_list() == [[0.5], [1.0]]


def test_both_ways_agree_where_each_field_has_one_feature(tmp_path):
    rng = np.random.default_rng(1)
    ids = rng.integers([0, 5, 15], [5, 15, 18], (300, 3))
    values = rng.integers(-3, 4, (300, 3)) / 2
    lines = [
        f"{label} " + " ".join(f"{i}:{x}" for i, x in zip(*pair, strict=True))
        for label, *pair in zip(rng.integers(0, 2, 300), ids, values, strict=True)
    ]
    content = "\n".join(lines) + "\n"
    by_position = frame(tmp_path, content)
    by_range = frame(tmp_path, content, field_sizes=(5, 10, 3))
    for name in by_position.columns[1:]:
        assert [[x] for x in by_position[name]] == by_range[name].to_list()


def test_blanks_may_be_many_and_at_the_end(tmp_path):
    found = frame(tmp_path, "1  7:1\t20:1 \n0 8:1 20:1\n")
    assert found["field_1"].to_list() == ["20", "20"]


@pytest.mark.parametrize("sizes", [(), (10, 20)])
def test_an_id_is_one_in_all_its_forms(tmp_path, sizes):
    content = "1 7:1 12:1\n0 07:1 +12:1\n+1 +007:1 0012:1\n0 0:1 10:1\n1 00:1 +10:1\n"
    found = frame(tmp_path, content, field_sizes=sizes)
    first, second = (found[name].to_list() for name in ("field_0", "field_1"))
    if sizes:
        first, second = ([item for (item,) in items] for items in (first, second))
    assert first == ["7", "7", "7", "0", "0"]
    assert second == ["12", "12", "12", "10", "10"]


def spilled(tmp_path, contents, **options):
    paths = [tmp_path / f"{index}.libfm" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    given = {"field_sizes": (), "field_names": None, **options}
    files = [sources.SourceFile(path, None) for path in paths]
    reader = libfm.open_reader(paths, given)
    return spill.spill(files, reader, tmp_path / "scratch", lambda numbers: numbers)


@pytest.mark.parametrize("chunk_bytes", [9, 1 << 20])
def test_rows_in_another_order_are_not_put_into_wrong_fields(
    tmp_path, monkeypatch, chunk_bytes
):
    monkeypatch.setitem(text.chunks.__kwdefaults__, "chunk_bytes", chunk_bytes)
    rows = ["1 1:1 5:1\n0 2:1 6:1\n", "1 1:1 7:1\n0 05:1 3:1\n1 7:1 2:1\n"]
    with pytest.raises(InputError) as error:
        spilled(tmp_path, rows)
    assert str(error.value) == (
        f"{tmp_path / '1.libfm'} line 2: id 5 stands where field_0 is, and where field_1 is in "
        f"{tmp_path / '0.libfm'} line 1; expected each id in one position. If the features "
        "of rows stand in any order, give --field_sizes."
    )
    by_range = spilled(tmp_path, rows, field_sizes=(5, 3))
    texts = {name: [*of.strings()] for name, of in by_range.dictionaries.items()}
    assert sorted(texts["field_0"]) == ["1", "2", "3"]
    assert sorted(texts["field_1"]) == ["5", "6", "7"]


def test_an_id_in_two_positions_of_one_row_is_an_error(tmp_path):
    with pytest.raises(InputError, match="line 2: id 3 stands where field_1 is"):
        spilled(tmp_path, ["1 1:1 5:1\n0 3:1 3:1\n"])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 7:1", "2 columns, expected 3 .label and 2 features; .* --field_sizes"),
        ("3 7:1 8:1", "the label is '3', expected 0 or 1"),
        ("1 7:1 x:1", "'x:1', expected id:value, two numbers"),
        ("1 7:1 8", "'8', expected id:value, two numbers"),
        ("1 7:1 8:one", "'8:one', expected id:value"),
        ("1 7:1 -8:1", "'-8:1', expected id:value"),
        ("1 7:1 8:1:1", "'8:1:1', expected id:value"),
        ("1 7:1 qid:3", "'qid:3', expected id:value"),
        ("1 7:1 8.0:1", "'8.0:1', expected id:value"),
        ("1 7:1 8:nan", "'8:nan', expected id:value"),
        ("1 7:1 8:1e39", "'8:1e39', expected a value of at most 3.4e38"),
        ("1 7:1 18446744073709551616:1", "id 18446744073709551616, expected less than"),
        ("1 7:1 8:1 # note", "5 columns, expected 3"),
        ("", "1 column, expected 3"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=rf"line 2(, column \d)?: {told}"):
        frame(tmp_path, f"1 7:1 8:1\n{line}\n1 7:1 8:1\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2 1:1", "the label is '2', expected 0 or 1"),
        ("1 1:1 9:1", "id 9, expected less than 9, the sum of the field sizes"),
        ("1 1:1 a:1", "'a:1', expected id:value"),
        ("1 1", "'1', expected id:value"),
        ("1 1:1 -2:1", "'-2:1', expected id:value"),
        ("1 1:1 8:1 # note", "'#', expected id:value"),
        ("1 qid:1 8:1", "'qid:1', expected id:value"),
        ("1 8:1 1:1 8:2", "id 8 is there twice"),
        ("1 08:1 8:1", "id 8 is there twice"),
        ("1 1:1 8:-1e39", "'8:-1e39', expected a value of at most 3.4e38"),
        (
            "1 1:1 18446744073709551616:1",
            "id 18446744073709551616, expected less than 9",
        ),
        ("1 1:1 8:1\x0b", "'8:1.x0b', expected id:value"),
        ("", "the label is '', expected 0 or 1"),
    ],
)
def test_a_bad_line_by_range_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=rf"line 2(, column \d)?: {told}"):
        frame(tmp_path, f"1 1:1 8:1\n{line}\n0 1:1\n", field_sizes=(4, 5))


def test_names_must_be_as_many_as_fields(tmp_path):
    path = tmp_path / "rows.libfm"
    with pytest.raises(InputError, match=r"2 fields, expected 1 \(user\)"):
        opened(path, "1 7:1 8:1\n", field_names=("user",))
    with pytest.raises(InputError, match="line 1: no features"):
        opened(path, "1\n")


@pytest.mark.parametrize("name", ["^a$", "^.*$", "*"])
def test_a_name_that_is_a_pattern_of_names_is_refused(tmp_path, name):
    told = f"named {name!r} cannot be told from a pattern"
    for sizes in ((), (3, 3)):
        options = {"field_sizes": sizes, "field_names": (name, "b")}
        with pytest.raises(InputError, match=re.escape(told)):
            frame(tmp_path, "1 0:1 3:1\n", **options)


@pytest.mark.parametrize(
    "options",
    [{"field_names": ("a", "a")}, {"field_sizes": (9, 0)}, {"field_sizes": (-1, 9)}],
)
def test_names_differ_and_sizes_are_positive(tmp_path, options):
    with pytest.raises(InputError, match="expected names that differ and sizes of 1"):
        opened(tmp_path / "rows.libfm", "1 7:1 8:1\n", **options)
