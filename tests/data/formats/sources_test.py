import pathlib

import pytest

from afm_jax.data.formats import sources
from afm_jax.errors import InputError


def found(folder, names, **options):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    files = sources.find(folder, **{"to_split": False, **options})
    return {file.path.relative_to(folder).as_posix(): file.split for file in files}


@pytest.mark.parametrize("name", ["train.txt", "test.csv", "rows.tsv.gz"])
def test_a_single_file_is_to_be_split_whatever_its_name(tmp_path, name):
    path = tmp_path / name
    path.write_text("x\n")
    assert sources.find(path, to_split=False) == [sources.SourceFile(path, None)]


def test_files_of_a_folder_are_the_splits_in_their_names(tmp_path):
    names = {
        "frappe.train.libfm.gz": "train",
        "frappe.validation.libfm": "validation",
        "part_2_val.csv": "validation",
        "TRAINING-3.csv": "train",
        "test.csv": "test",
    }
    assert found(tmp_path, names) == names


def test_other_files_of_a_folder_are_left_out(tmp_path):
    names = ["train.txt", "README.txt", "CRITEO_LICENSE.txt", ".hidden", "notes.md"]
    assert found(tmp_path, names) == {"train.txt": None}


def test_words_are_not_parts_of_words(tmp_path):
    names = ["trained.csv", "latest.csv", "invalid.csv"]
    assert found(tmp_path, names) == dict.fromkeys(names)


def test_a_folder_of_training_files_is_to_be_split(tmp_path):
    names = ["train_1.csv", "train_2.csv"]
    assert found(tmp_path, names, to_split=True) == dict.fromkeys(names)


@pytest.mark.parametrize(
    ("names", "options", "told"),
    [
        (["test.csv"], {}, "expected files named train, validation"),
        (["test.csv", "val.csv"], {}, "expected files named train, validation"),
        (["train.csv", "val.csv", "more.csv"], {}, r"more\.csv \(\?\)"),
        (["train.csv", "val.csv"], {"to_split": True}, "leave out --split"),
        (["README"], {}, "holds no data files"),
    ],
)
def test_files_that_are_no_set_of_splits_are_an_error(tmp_path, names, options, told):
    with pytest.raises(InputError, match=told):
        found(tmp_path, names, **options)


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        sources.find(tmp_path / "nowhere", to_split=False)


@pytest.mark.parametrize("to_split", [False, True])
def test_training_rows_are_to_be_split_beside_given_test_rows(tmp_path, to_split):
    names = ["train_1.csv", "train_2.csv", "test.csv"]
    expected = {"train_1.csv": None, "train_2.csv": None, "test.csv": "test"}
    assert found(tmp_path, names, to_split=to_split) == expected


def test_what_spark_writes_beside_part_files_is_no_data(tmp_path):
    parts = ["part-00000-a.csv", "part-00001-a.csv"]
    others = ["_SUCCESS", "_committed_17", "_started_17", ".part-00000-a.csv.crc"]
    others += ["_delta_log/0.csv", ".ipynb_checkpoints/part.csv", "x.crc"]
    assert found(tmp_path, parts + others) == dict.fromkeys(parts)


def test_folders_name_the_splits_of_the_files_in_them(tmp_path):
    names = {
        "train/part-0.parquet": "train",
        "train/day=2/part-0.parquet": "train",
        "split=validation/part-0.parquet": "validation",
        "Test/part-0.parquet": "test",
    }
    assert found(tmp_path, names) == names


def test_files_of_folders_that_name_no_split_are_one_table(tmp_path):
    names = ["day=1/part-0.csv", "day=2/part-0.csv", "more.csv"]
    assert found(tmp_path, names) == dict.fromkeys(names)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["train/test.csv", "validation/1.csv"], "names the splits train and test"),
        (["train/1.csv", "validation/1.csv", "old/1.csv"], r"old/1\.csv \(\?\)"),
        (["train.csv", "train.csv.gz"], "the same rows twice"),
        (
            ["a/x", "a/y", "train", "val"],
            r"a/x \(\?\) and 1 more, train \(train\), val",
        ),
        (["a.csv", "b.parquet"], r"b\.parquet is a parquet file and .*a\.csv is none"),
        (["_SUCCESS", ".x"], "holds no data files"),
    ],
)
def test_folders_that_are_no_set_of_splits_are_an_error(tmp_path, names, told):
    with pytest.raises(InputError, match=told):
        found(tmp_path, names)


def test_links_are_followed_but_not_in_circles_or_to_nothing(tmp_path):
    found(tmp_path / "rows", ["1.csv"])
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "train").symlink_to(tmp_path / "rows")
    assert found(folder, ["val.csv"]) == {
        "train/1.csv": "train",
        "val.csv": "validation",
    }
    (folder / "test.csv").symlink_to(tmp_path / "rows" / "1.csv")
    with pytest.raises(InputError, match="the same rows twice"):
        found(folder, [])
    (folder / "test.csv").unlink()
    (tmp_path / "rows" / "above").symlink_to(folder)
    with pytest.raises(InputError, match="a link to a folder that it lies in"):
        found(folder, [])
    (tmp_path / "rows" / "above").unlink()
    (folder / "val_2.csv").symlink_to(folder / "nowhere")
    with pytest.raises(InputError, match="a link to a file that is not there"):
        found(folder, [])


def table(**names):
    """Files with these columns; a name is 'SPLIT_...', or 'none_...'."""
    splits = {name: name.split("_")[0] for name in names}
    return [
        sources.SourceFile(pathlib.Path(name), None if split == "none" else split)
        for name, split in splits.items()
    ], lambda path: names[path.name].split()


def test_files_of_a_split_have_the_same_columns_in_any_order():
    sources.require_one_table(*table(train_1="y a b", train_2="b a y", test_1="y a"))


@pytest.mark.parametrize("other", ["y user price", "y"])
def test_files_of_unrelated_tables_are_not_joined(other):
    name = "price" if "price" in other else "user"
    lacking, having = ("users", "clicks") if "price" in other else ("clicks", "users")
    told = f"none_{lacking} has no column '{name}', and none_{having} has one"
    with pytest.raises(InputError, match=told):
        sources.require_one_table(*table(none_users="y user", none_clicks=other))
