import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from afm_jax.data import formats
from afm_jax.errors import InputError
from data.movielens_100k import movielens_100k_reader

FILES = {
    "u.data": "2\t10\t4\t300\n1\t11\t3\t100\n2\t11\t5\t200\n",
    "u.user": "1|24|M|technician|85711\n2|53|F|other|V3N4P\n",
    "u.item": "10|Émile (1995)|01-Jan-1995||http://x|0|1|1\n11|B|||http://y|0|0|0\n",
    "u.genre": "unknown|0\nAction|1\nDrama|2\n\n",
}


def frame(folder, **changes):
    for name, content in {**FILES, **changes}.items():
        (folder / name).write_text(content, encoding="latin-1")
    paths = movielens_100k_reader.files(folder)
    reader = movielens_100k_reader.open_reader(paths, {})
    (part,) = reader.parts(paths[0])
    return part.parse()


def test_a_rating_brings_its_user_and_film(tmp_path):
    found = frame(tmp_path)
    assert found[formats.LABEL].to_list() == [1.0, 0.0, 1.0]
    assert found[formats.TIME].to_list() == [300, 100, 200]
    assert found.select(movielens_100k_reader.FIELDS).rows() == [
        ("2", "10", "53", "F", "other", "V", "1995"),
        ("1", "11", "24", "M", "technician", "8", None),
        ("2", "11", "53", "F", "other", "V", None),
    ]
    assert found["genres"].to_list() == [["Action", "Drama"], [], []]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("u.data", "1\t10\t3\t1\n3\t10\t4\t2\n", r"line 2: user 3 is not in u\.user"),
        ("u.data", "1\t12\t4\t100\n", r"line 1: item 12 is not in u\.item"),
        ("u.data", "1\t10\t6\t100\n", "line 1: the rating is 6, expected 1 to 5"),
        ("u.data", "1\t10\tx\t100\n", "line 1: rating is 'x'"),
        ("u.user", "1|24|M\n", r"u\.user line 1: 3 columns, expected 5"),
        ("u.item", "10|A\n", r"u\.item line 1: 2 columns, expected 8"),
        ("u.data", "2\t10\t4\t1\n1.7\t10\t4\t1\n", r"line 2: user is '1\.7'"),
        ("u.data", "2\t-10\t4\t1\n", "line 1: item is '-10', expected a whole number"),
        ("u.data", "2\t10\t4\t1.5\n", r"line 1: timestamp is '1\.5'"),
        (
            "u.user",
            "2|1|F|a|1\n01|1|F|a|1\n1|2|M|b|2\n",
            "line 3: user 1 is there twice",
        ),
        (
            "u.user",
            "2|x|F|a|1\n",
            r"u\.user line 1: age is 'x', expected a whole number",
        ),
        ("u.item", "1|A||||0|0|0\n1|A||||0|0|0\n", "line 2: item 1 is there twice"),
        (
            "u.item",
            "1|A||||0|x|0\n",
            r"u\.item line 1: genre Action is 'x', expected 0 or 1",
        ),
        (
            "u.item",
            "1|A||||0|2|0\n",
            r"u\.item line 1: genre Action is '2', expected 0 or 1",
        ),
        ("u.item", "1|A|1995|||0|1|0\n", r"u\.item line 1: the date is 1995, expected"),
        (
            "u.genre",
            "a|0\nb|2\nc|1\n",
            r"u\.genre line 2: the number is 2, expected 0, 1",
        ),
        ("u.genre", "a|0\nb|1\na|2\n", r"u\.genre line 3: name a is there twice"),
        ("u.genre", "a|0\n|1\nc|2\n", r"u\.genre line 2: a genre without a name"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, told):
    with pytest.raises(InputError, match=told):
        frame(tmp_path, **{name: content})


def test_an_empty_zip_or_gender_is_missing(tmp_path):
    found = frame(tmp_path, **{"u.user": "1|24||nan|\n2|53|F|other|V3N4P\n"})
    assert found["zip_prefix"].to_list() == ["V", None, "V"]
    assert found["gender"].to_list() == ["F", None, "F"]
    assert found["occupation"].to_list() == ["other", None, "other"]


def test_an_absent_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"u\.data does not exist"):
        movielens_100k_reader.files(tmp_path)
