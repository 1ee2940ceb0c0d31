import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.errors import InputError
from data.criteo import criteo_reader

ROW = ["0", *map(str, range(13)), *(f"{index:08x}" for index in range(26))]


def frame(path):
    (part,) = criteo_reader.open_reader([path], {}).parts(path)
    return part.parse()


def test_a_row_is_a_label_13_numbers_and_26_categories(tmp_path):
    path = tmp_path / "train.txt"
    missing = ["1", *[""] * 39]
    path.write_text("\t".join(ROW) + "\n" + "\t".join(missing) + "\n")
    found = frame(path)
    layout = criteo_reader.open_reader([path], {}).layout
    names = [column.name for column in layout.columns]
    assert [names[i] for i in (0, 12, 13, 38)] == ["I1", "I13", "C1", "C26"]
    assert found[formats.LABEL].to_list() == [0.0, 1.0]
    assert found.select(names).row(0) == (*map(float, range(13)), *ROW[14:])
    assert found.select(names).row(1) == (None,) * 39


def test_quotes_and_words_mean_what_they_mean_in_every_format(tmp_path):
    path = tmp_path / "train.txt"
    row = ["0", *["nan"] * 13, "NaN", "", '"', 'a"b', "null", *["x"] * 21]
    path.write_text("\t".join(row) + "\n\n \n")
    found = frame(path)
    assert found.height == 1
    assert found.select("C1", "C2", "C3", "C4", "C5").row(0) == (
        None,
        None,
        '"',
        'a"b',
        "null",
    )
    assert found["I1"].is_nan().all()


def test_an_error_says_what_a_line_should_hold(tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("\t".join(ROW) + "\n" + "\t".join(ROW[:38]) + "\n")
    with pytest.raises(InputError) as error:
        frame(path)
    assert str(error.value) == (
        f"{path} line 2: 38 columns, expected 40 (label, 13 numbers, 26 categories)."
    )
