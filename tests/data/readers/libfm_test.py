import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.errors import InputError
from data import readers
from data.readers import libfm


def opened(path, content, **options):
    path.write_text(content)
    given = {"field_sizes": (), "field_names": None, **options}
    return libfm.open_reader([path], given)


def frame(tmp_path, content, **options):
    path = tmp_path / "rows.libfm"
    (part,) = opened(path, content, **options).parts(path)
    return part.parse()


def test_features_are_fields_by_position(tmp_path):
    found = frame(tmp_path, "-1 7:1 20:1\n1 20:1 7:1\n0 3:1 3:1.0\n")
    assert found[readers.LABEL].to_list() == [0.0, 1.0, 0.0]
    assert found["field_0"].to_list() == ["7", "20", "3"]
    assert found["field_1"].to_list() == ["20", "7", "3"]
    assert found.width == 3  # all values are 1, so that there are none


def test_values_are_kept_if_any_is_not_1(tmp_path):
    found = frame(tmp_path, "1 7:1 20:0.5\n0 8:-2e1 20:1\n")
    assert found[readers.VALUES + "field_0"].to_list() == [1.0, -20.0]
    assert found[readers.VALUES + "field_1"].to_list() == [0.5, 1.0]


def test_features_are_fields_by_range(tmp_path):
    content = "1 9:1 0:1\n0 1:1\n1\n0 12:1 3:1 11:1 2:1\n"
    found = frame(tmp_path, content, field_sizes=(3, 7, 3), field_names=tuple("abc"))
    assert found["a"].to_list() == [["0"], ["1"], None, ["2"]]
    assert found["b"].to_list() == [["9"], None, None, ["3"]]
    assert found["c"].to_list() == [None, None, None, ["12", "11"]]
    assert found[readers.LABEL].to_list() == [1.0, 0.0, 1.0, 0.0]


def test_values_by_range_stay_with_their_features(tmp_path):
    found = frame(tmp_path, "1 4:4 0:0.5 3:3\n0 1:1\n", field_sizes=(3, 2))
    assert found["field_1"].to_list() == [["4", "3"], None]
    assert found[readers.VALUES + "field_1"].to_list() == [[4.0, 3.0], None]
    assert found[readers.VALUES + "field_0"].to_list() == [[0.5], [1.0]]


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


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 7:1", "2 columns, expected 3 .label and 2 features; .* --field_sizes"),
        ("3 7:1 8:1", "the label is '3', expected -1 or 0 or 1"),
        ("1 7:1 x:1", "'x:1', expected id:value, two numbers"),
        ("1 7:1 8", "'8', expected id:value, two numbers"),
        ("1 7:1 8:one", "'8:one', expected id:value"),
        ("1 7:1 -8:1", "'-8:1', expected id:value"),
        ("1 7:1 8:1:1", "'8:1:1', expected id:value"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=f"line 2: {told}"):
        frame(tmp_path, f"1 7:1 8:1\n{line}\n1 7:1 8:1\n")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2 1:1", "the label is '2', expected -1, 0 or 1"),
        ("1 1:1 9:1", "id 9, expected less than 9, the sum of the field sizes"),
        ("1 1:1 a:1", "'a:1', expected id:value"),
        ("1 1", "'1', expected id:value"),
    ],
)
def test_a_bad_line_by_range_is_named(tmp_path, line, told):
    with pytest.raises(InputError, match=f"line 2: {told}"):
        frame(tmp_path, f"1 1:1 8:1\n{line}\n", field_sizes=(4, 5))


def test_names_must_be_as_many_as_fields(tmp_path):
    path = tmp_path / "rows.libfm"
    with pytest.raises(InputError, match=r"2 fields, expected 1 \(user\)"):
        opened(path, "1 7:1 8:1\n", field_names=("user",))
    with pytest.raises(InputError, match="line 1: no features"):
        opened(path, "1\n")


@pytest.mark.parametrize(
    "options",
    [{"field_names": ("a", "a")}, {"field_sizes": (9, 0)}, {"field_sizes": (-1, 9)}],
)
def test_names_differ_and_sizes_are_positive(tmp_path, options):
    with pytest.raises(InputError, match="expected names that differ and sizes of 1"):
        opened(tmp_path / "rows.libfm", "1 7:1 8:1\n", **options)
