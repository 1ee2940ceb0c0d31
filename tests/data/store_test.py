import concurrent.futures
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from afm_jax.errors import InputError
from afm_jax.features import DenseColumn, Field, Schema
from data import arrays, builder, synthetic
from data.store import Rows, names, open_store, store_folder
from data.synthetic import synthetic_dataset_builder

SCHEMA = Schema(
    dataset="toy",
    fields=(
        Field("user", "categorical", 50, 0),
        Field("genres", "multi_valued", 9, 50, slots=3),
    ),
    dense=(DenseColumn("age", "none"),),
)
TRAIN, VALIDATION = 20_000, 300


class Toy(builder.BlockBuilder):
    """The rows given as the option 'blocks'."""

    def encode(self, source, folder):
        return builder.Encoded(
            self.options.get("schema", SCHEMA), self.options["blocks"]
        )


def random_rows(count, seed):
    rng = np.random.default_rng(seed)
    ids = np.concatenate(
        [rng.integers(0, 50, (count, 1)), rng.integers(50, 59, (count, 3))], axis=1
    )
    return Rows(
        ids.astype(np.int32),
        rng.random((count, 4), np.float32),
        rng.normal(size=(count, 1)).astype(np.float32),
        rng.integers(0, 2, count).astype(np.float32),
    )


def make(tmp_path, rows=None, **options):
    blocks = [
        ("validation", random_rows(VALIDATION, 1)),
        ("train", random_rows(TRAIN, 0) if rows is None else rows),
    ]
    builder.build(Toy, data_dir=tmp_path, options={"blocks": blocks, **options})
    return store_folder(tmp_path, "toy")


def assert_equal_rows(rows, expected):
    for column, other in zip(rows, expected, strict=True):
        if other is None:
            assert column is None
        else:
            assert column.dtype == other.dtype
            np.testing.assert_array_equal(column, other)


def test_opening_gives_the_rows_that_were_built_in_their_order(tmp_path):
    make(tmp_path)
    for _ in range(2):  # the first opening converts, the second maps
        store = open_store(tmp_path, "toy")
        assert list(store.splits) == ["train", "validation"]
        assert store.schema.rows == {"train": TRAIN, "validation": VALIDATION}
        assert_equal_rows(store.splits["train"], random_rows(TRAIN, 0))
        assert_equal_rows(store.splits["validation"], random_rows(VALIDATION, 1))
        assert store.probabilities == {}


def test_columns_that_are_not_there_stay_away(tmp_path):
    schema = dataclasses.replace(SCHEMA, dense=())
    rows = random_rows(9_000, 0)._replace(
        values=None, dense=np.zeros((9_000, 0), np.float32)
    )
    blocks = [("train", rows)]
    make(tmp_path, schema=schema, blocks=blocks)
    for _ in range(2):
        assert_equal_rows(open_store(tmp_path, "toy").splits["train"], rows)


def test_mapped_rows_cannot_be_written(tmp_path):
    make(tmp_path)
    rows = open_store(tmp_path, "toy").splits["train"]
    with pytest.raises(ValueError, match="read-only"):
        rows.labels[0] = 1


def test_the_synthetic_store_is_the_one_in_memory_with_its_probabilities(tmp_path):
    options = {"seed": 2, "rows": {"train": 9_000, "test": 500}, "min_count": 3}
    builder.build(synthetic_dataset_builder.Builder, data_dir=tmp_path, options=options)
    store, expected = open_store(tmp_path, "synthetic"), synthetic.make(**options)
    assert store.schema == expected.schema
    for split in ("train", "test"):
        assert_equal_rows(store.splits[split], expected.splits[split])
        np.testing.assert_array_equal(
            store.probabilities[split], expected.probabilities[split]
        )


def test_processes_that_convert_at_once_agree(tmp_path):
    folder = make(tmp_path)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_store, [tmp_path] * 4, ["toy"] * 4))
    for store in stores:
        assert_equal_rows(store.splits["train"], random_rows(TRAIN, 0))
    assert not list(folder.glob("*incomplete*"))


def test_what_a_killed_process_left_of_converting_is_removed(tmp_path):
    folder = make(tmp_path)
    (folder / "arrays.incomplete.0" / "half").mkdir(parents=True)
    open_store(tmp_path, "toy")
    assert not list(folder.glob("*incomplete*"))


WITHOUT_EXTRA = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow_datasets", "array_record", "polars"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from afm_jax.errors import InputError
from data.store import open_store
try:
    print(open_store(sys.argv[1], "toy").splits["train"].labels.sum())
except InputError as mistake:
    print(mistake)
"""


def test_only_the_first_opening_needs_the_extra(tmp_path):
    make(tmp_path)
    command = [sys.executable, "-c", WITHOUT_EXTRA, tmp_path]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "needs tensorflow_datasets; pip install 'afm_jax[data]'" in first.stdout
    expected = open_store(tmp_path, "toy").splits["train"].labels.sum()
    later = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(later.stdout) == expected


def test_an_unknown_name_is_told_with_the_names_there_are(tmp_path):
    make(tmp_path)
    assert names(tmp_path) == ("toy",)
    with pytest.raises(InputError, match=r"No prepared data 'tor' .* there are: toy"):
        open_store(tmp_path, "tor")
    with pytest.raises(InputError, match="there are: none"):
        open_store(tmp_path / "nowhere", "toy")
    with pytest.raises(InputError, match=r"'\.\./toy' is no name for a data set"):
        open_store(tmp_path / "toy", "../toy")


def put(column, row, slot, value):
    def change(rows):
        getattr(rows, column)[(row, slot)[: getattr(rows, column).ndim]] = value
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("ids", 8200, 0, 50), r"id 50 of field 'user' is outside \[0, 50\)"),
        (put("ids", 1, 0, -1), "id -1 of field 'user'"),
        (put("ids", 19_999, 3, 59), r"id 59 of field 'genres' is outside \[50, 59\)"),
        (put("ids", 0, 2, 49), "train rows 0 to 8192 .* id 49 of field 'genres'"),
        (put("labels", 3, 0, 2), "label 2.0, expected 0 or 1"),
        (put("labels", 3, 0, np.nan), "label nan, expected 0 or 1"),
        (put("dense", 9000, 0, np.inf), "dense that are not finite"),
        (put("values", 9000, 0, np.nan), "values that are not finite"),
        (lambda rows: rows._replace(ids=rows.ids[:, :3]), r"asks for \[8192, 4\]"),
        (lambda rows: rows._replace(dense=rows.ids[:, :0]), "0 dense, but the schema"),
    ],
)
def test_rows_that_break_the_schema_are_refused(tmp_path, change, told):
    folder = make(tmp_path, change(random_rows(TRAIN, 0)))
    with pytest.raises(InputError, match=told):
        open_store(tmp_path, "toy")
    assert not (folder / arrays.FOLDER).exists()
    assert not list(folder.glob("*incomplete*"))


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0xFF]))


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, flip, remove])
def test_damaged_records_are_refused(tmp_path, damage):
    folder = make(tmp_path)
    damage(folder / "toy-train.array_record-00000")
    with pytest.raises(InputError, match=r"records of train in .* are damaged"):
        open_store(tmp_path, "toy")
    assert not (folder / arrays.FOLDER).exists()


@pytest.mark.parametrize("damage", [truncate, remove])
@pytest.mark.parametrize("name", ["train.ids.npy", "train.values.npy", "manifest.json"])
def test_damaged_arrays_are_refused(tmp_path, damage, name):
    folder = make(tmp_path)
    open_store(tmp_path, "toy")
    damage(folder / arrays.FOLDER / name)
    with pytest.raises(InputError, match=r"arrays/.* damaged.* made again"):
        open_store(tmp_path, "toy")


def test_a_damaged_schema_is_refused(tmp_path):
    folder = make(tmp_path)
    truncate(folder / "schema.json")
    with pytest.raises(InputError, match=r"schema\.json is damaged"):
        open_store(tmp_path, "toy")


def test_records_of_fewer_or_more_rows_than_told_are_refused(tmp_path):
    folder = make(tmp_path)
    schema = Schema.from_json((folder / "schema.json").read_text())
    for count in (TRAIN - 1, TRAIN + 1):
        other = dataclasses.replace(schema, rows={"train": count})
        (folder / "schema.json").write_text(other.to_json())
        with pytest.raises(InputError, match=f"20000 rows of train, expected {count}"):
            open_store(tmp_path, "toy")
        assert not (folder / arrays.FOLDER).exists()


def test_arrays_of_another_schema_are_refused(tmp_path):
    folder = make(tmp_path)
    store = open_store(tmp_path, "toy")
    longer = dataclasses.replace(store.schema, rows={"train": 5, "validation": 300})
    (folder / "schema.json").write_text(longer.to_json())
    with pytest.raises(InputError, match=r"train\.ids\.npy holds int32 \[20000, 4\]"):
        open_store(tmp_path, "toy")
