import pytest

from afm_jax.errors import InputError
from data import sources


def found(folder, names, **options):
    for name in names:
        (folder / name).write_text("x\n")
    files = sources.find(folder, **{"to_split": False, **options})
    return {file.path.name: file.split for file in files}


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
        (["train.csv", "test.csv"], {}, "expected files named train, validation"),
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
