import dataclasses
import json
import logging
import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from afm_jax.data import synthetic
from afm_jax.data.preparation import builder
from afm_jax.data.store import arrays, reader, writer
from afm_jax.data.store.folders import names, store_folder
from afm_jax.data.store.reader import open_store
from afm_jax.data.store.writer import Block
from afm_jax.errors import InputError
from afm_jax.features import UNSEEN, DenseColumn, Field, Rows, Schema
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
    """The blocks given as the option 'blocks'."""

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
        rng.integers(0, 3, (count, 4)).astype(np.float32),
        rng.normal(size=(count, 1)).astype(np.float32),
        rng.integers(0, 2, count).astype(np.float32),
        rng.uniform(0.5, 2, count).astype(np.float32),
        rng.permutation(count),
    )


def blocks_of(split, rows, size=7_001):
    for start in range(0, len(rows.labels), size):
        yield Block(split, rows.slice(start, start + size))


def make(tmp_path, rows=None, **options):
    blocks = [
        Block("validation", random_rows(VALIDATION, 1)),
        *blocks_of("train", random_rows(TRAIN, 0) if rows is None else rows),
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
    opened = open_store(tmp_path, "toy")
    assert list(opened.splits) == ["train", "validation"]
    assert opened.schema.rows == {"train": TRAIN, "validation": VALIDATION}
    assert_equal_rows(opened.splits["train"], random_rows(TRAIN, 0))
    assert_equal_rows(opened.splits["validation"], random_rows(VALIDATION, 1))
    assert opened.probabilities == {}


def test_columns_that_are_not_there_stay_away(tmp_path):
    schema = dataclasses.replace(SCHEMA, dense=())
    rows = random_rows(9_000, 0)._replace(
        values=None, dense=np.zeros((9_000, 0), np.float32), weights=None, numbers=None
    )
    make(tmp_path, schema=schema, blocks=blocks_of("train", rows))
    assert_equal_rows(open_store(tmp_path, "toy").splits["train"], rows)


def test_columns_that_come_and_go_are_refused(tmp_path):
    rows = random_rows(90, 0)
    blocks = [Block("train", rows), Block("train", rows._replace(values=None))]
    with pytest.raises(InputError, match=r"train rows 90 to 180: columns ids, dense"):
        make(tmp_path, blocks=blocks)


def test_mapped_rows_cannot_be_written(tmp_path):
    make(tmp_path)
    rows = open_store(tmp_path, "toy").splits["train"]
    with pytest.raises(ValueError, match="read-only"):
        rows.labels[0] = 1


@pytest.mark.parametrize(
    ("kind", "labels", "expected"),
    [
        ("binary", [0, 1], "binary"),
        ("binary", [0, 0.5], "probability"),
        ("binary", [0, 2], "real"),
        ("real", [0, 1], "real"),
    ],
)
def test_the_kind_of_labels_is_the_narrowest_that_holds_all(
    tmp_path, kind, labels, expected
):
    """But no narrower than the schema says; the odd label is the last of all."""
    rows = random_rows(90, 0)
    rows = rows._replace(labels=np.repeat(labels, [89, 1]).astype(np.float32))
    schema = dataclasses.replace(SCHEMA, label_kind=kind)
    blocks = [Block("validation", random_rows(9, 1)), *blocks_of("train", rows, 50)]
    make(tmp_path, schema=schema, blocks=blocks)
    assert open_store(tmp_path, "toy").schema.label_kind == expected


def test_labels_may_be_any_numbers_and_their_mean_is_weighted(tmp_path):
    rows = random_rows(50, 0)
    rows = rows._replace(labels=np.linspace(-3, 7, 50, dtype=np.float32))
    make(tmp_path, rows)
    opened = open_store(tmp_path, "toy")
    assert_equal_rows(opened.splits["train"], rows)
    expected = np.average(rows.labels, weights=rows.weights)
    assert opened.schema.label_kind == "real"
    assert opened.schema.label_mean == pytest.approx(expected, rel=1e-6)


def test_counts_are_of_the_slots_of_training_rows_that_hold_a_value(tmp_path):
    make(tmp_path)
    expected = np.zeros(59, np.int64)
    rows = random_rows(TRAIN, 0)
    for id_, value in zip(rows.ids.ravel(), rows.values.ravel(), strict=True):
        expected[id_] += value != 0
    opened = open_store(tmp_path, "toy")
    np.testing.assert_array_equal(opened.stored_counts, expected)
    recounted = opened._replace(stored_counts=None)
    np.testing.assert_array_equal(recounted.counts, expected)


def test_groups_are_the_raw_values_also_of_those_without_an_id(tmp_path):
    rows = random_rows(6, 0)
    rows.ids[:, 0] = [1, 7, 1, 0, 1, 7]
    values = np.array([[0, 51], [2, 50], [4, 51]])  # rows 0 and 4 are of one user
    make(
        tmp_path,
        blocks=[
            Block("train", random_rows(10, 1)),
            Block("validation", random_rows(3, 2)),
            Block("validation", rows, {0: values}),
        ],
    )
    opened = open_store(tmp_path, "toy")
    groups = opened.groups("validation", "user")
    assert groups.dtype == np.int64
    assert groups[3:].tolist() == [51, 7, 50, -1, 51, 7]
    with pytest.raises(InputError, match="'genres' can have several values a row"):
        opened.groups("validation", "genres")
    with pytest.raises(KeyError, match="no field 'age'"):
        opened.groups("validation", "age")


def test_the_synthetic_store_is_the_one_in_memory_with_its_probabilities(tmp_path):
    options = {"seed": 2, "rows": {"train": 9_000, "test": 500}, "min_count": 3}
    builder.build(synthetic_dataset_builder.Builder, data_dir=tmp_path, options=options)
    opened, expected = open_store(tmp_path, "synthetic"), synthetic.make(**options)
    assert opened.schema == expected.schema
    np.testing.assert_array_equal(opened.counts, expected.counts)
    for split in ("train", "test"):
        assert_equal_rows(opened.splits[split], expected.splits[split])
        np.testing.assert_array_equal(
            opened.probabilities[split], expected.probabilities[split]
        )
        assert opened.unseen[split].keys() == expected.unseen[split].keys()
        for index, found in expected.unseen[split].items():
            np.testing.assert_array_equal(opened.unseen[split][index], found)


WITHOUT_EXTRA = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow_datasets", "array_record", "polars"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from afm_jax.data.store.reader import open_store
print(open_store(sys.argv[1], "toy").splits["train"].labels.sum())
"""


def everything_in(folder):
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.is_dir())
        for path in folder.rglob("*")
    }


def test_opening_needs_no_extra_and_writes_nothing(tmp_path):
    make(tmp_path)
    before = everything_in(tmp_path)
    command = [sys.executable, "-c", WITHOUT_EXTRA, tmp_path]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(found) == open_store(tmp_path, "toy").splits["train"].labels.sum()
    assert everything_in(tmp_path) == before


def test_an_unknown_name_is_told_with_the_names_there_are(tmp_path):
    make(tmp_path)
    assert names(tmp_path) == ("toy",)
    for name in "Toy", "tooy":
        with pytest.raises(InputError, match=r"Did you mean 'toy'\?$"):
            open_store(tmp_path, name)
    with pytest.raises(InputError, match=r"No prepared data 'tor' .* there are: toy"):
        open_store(tmp_path, "tor")
    with pytest.raises(InputError, match="there is no folder"):
        open_store(tmp_path / "nowhere", "toy")
    with pytest.raises(InputError, match=r"'\.\./toy' is no name for a data set"):
        open_store(tmp_path / "toy", "../toy")


def put(column, row, slot, value):
    def change(rows):
        getattr(rows, column)[(row, slot)[: getattr(rows, column).ndim]] = value
        return rows

    return change


BROKEN = [
    (put("ids", 8200, 0, 50), r"id 50 of field 'user' is outside \[0, 50\)"),
    (put("ids", 1, 0, -1), "id -1 of field 'user'"),
    (put("ids", 19_999, 3, 59), r"id 59 of field 'genres' is outside \[50, 59\)"),
    (put("ids", 0, 2, 49), "train rows 0 to 7001: id 49 of field 'genres'"),
    (put("labels", 3, 0, np.nan), "labels that are not finite"),
    (put("dense", 9000, 0, np.inf), "dense that are not finite"),
    (put("values", 9000, 0, np.nan), "values that are not finite"),
    (put("weights", 9000, 0, 0), r"weight 0\.0, expected numbers above 0"),
    (lambda rows: rows._replace(ids=rows.ids[:, :3]), r"asks for \[7001, 4\]"),
    (lambda rows: rows._replace(dense=rows.ids[:, :0]), r"asks for \[7001, 1\]"),
]


@pytest.mark.parametrize(("change", "told"), BROKEN)
def test_rows_that_break_the_schema_are_refused(tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        make(tmp_path, change(random_rows(TRAIN, 0)))
    assert not list(tmp_path.iterdir())


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path, place=1 / 3):
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 0x10
    path.write_bytes(data)


def remove(path):
    path.unlink()


def test_a_flipped_bit_anywhere_in_a_store_is_seen(tmp_path):
    folder = make(tmp_path, random_rows(60, 0))
    rng = np.random.default_rng(0)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in (0, *rng.random(6), 1 - 1e-9):
            flip(path, place)
            with pytest.raises(InputError, match=r"is damaged") as mistake:
                open_store(tmp_path, "toy")
            assert "\n" not in str(mistake.value)
            path.write_bytes(whole)
    open_store(tmp_path, "toy")


@pytest.mark.parametrize("damage", [truncate, remove])
@pytest.mark.parametrize("name", ["train.ids.npy", "schema.json", "manifest.json"])
def test_a_file_that_is_cut_or_gone_is_seen(tmp_path, damage, name):
    folder = make(tmp_path)
    damage(folder / name)
    with pytest.raises(InputError, match=r"is damaged|does not exist") as mistake:
        open_store(tmp_path, "toy")
    assert str(folder / name) in str(mistake.value)


def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path):
    folder = make(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {**manifest["files"], "../../x": {"bytes": 1, "crc32": 2}}
    text = json.dumps({"files": files, "crc32": arrays._crc32_of_entries(files)})
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="names files elsewhere"):
        open_store(tmp_path, "toy")


def rewrite_manifest(folder):
    (folder / "manifest.json").unlink()
    arrays.write_manifest(folder)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("fields", 0, "name"), 7),
        (("fields", 0, "vocab_size"), "50"),
        (("fields", 1, "offset"), 49),
        (("fields", 1, "slots"), 10**12),
        (("fields", 1, "slots"), 0),
        (("fields", 0, "boundaries"), None),
        (("dense", 0, "mean"), [0]),
        (("rows",), None),
        (("rows",), {}),
        (("rows", "train"), "20000"),
        (("rows", "../train"), 1),
        (("rows", "test"), 10),
        (("label_mean",), {}),
        (("label_kind",), "ternary"),
        (("fields",), []),
        ((), []),
    ],
)
def test_a_schema_that_was_altered_is_refused_in_one_line(tmp_path, keys, value):
    folder = make(tmp_path, random_rows(60, 0))
    path = folder / "schema.json"
    whole = changed = {"": json.loads(path.read_text())}
    *above, last = ("", *keys)
    for key in above:
        changed = changed[key]
    changed[last] = value
    path.write_text(json.dumps(whole[""]))
    rewrite_manifest(folder)
    for read in open_store, writer.verify:
        with pytest.raises(InputError, match=re.escape(str(folder))) as mistake:
            read(tmp_path, "toy")
        assert "\n" not in str(mistake.value)


@pytest.mark.parametrize(
    "entry", [None, {}, {"bytes": 1}, {"bytes": "1", "crc32": 2}, {"bytes": 1e400}]
)
def test_a_manifest_with_odd_entries_is_refused(tmp_path, entry):
    folder = make(tmp_path, random_rows(60, 0))
    files = {**arrays.read_manifest(folder), "train.ids.npy": entry}
    text = json.dumps({"files": files, "crc32": arrays._crc32_of_entries(files)})
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        open_store(tmp_path, "toy")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip file",
        b"\x93NUMPY\x01\x00\x88\x13" + b"(" * 5000,
        b"\x93NUMPY\x01\x00\x80\x00"
        + b"{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d)}".ljust(132)
        % (2**62, 2**62),
    ],
)
def test_a_file_that_is_no_array_is_refused_in_one_line(tmp_path, content):
    folder = make(tmp_path, random_rows(60, 0))
    (folder / "train.ids.npy").write_bytes(content)
    rewrite_manifest(folder)
    with pytest.raises(InputError, match=r"train\.ids\.npy is damaged \(") as mistake:
        open_store(tmp_path, "toy")
    assert "\n" not in str(mistake.value)


@pytest.mark.parametrize("row", [-1, 0, 60])
def test_verify_sees_values_without_an_id_of_other_rows(tmp_path, row):
    rows = random_rows(60, 0)
    rows.ids[:, 0] = np.where(np.arange(60) == 7, UNSEEN, 5)
    block = Block("train", rows, {0: np.array([[7, 50]])})
    folder = make(tmp_path, blocks=[block])
    assert writer.verify(tmp_path, "toy")["rows"] == {"train": 60}
    np.save(folder / "train.unseen.0.npy", np.array([[row, 50]]))
    rewrite_manifest(folder)
    with pytest.raises(InputError, match="the values without an id of field 'user'"):
        writer.verify(tmp_path, "toy")


def test_what_is_too_large_to_check_at_opening_is_said_and_verified(
    tmp_path, monkeypatch, caplog
):
    folder = make(tmp_path)
    caplog.set_level(logging.INFO)
    open_store(tmp_path, "toy")
    assert not caplog.records
    monkeypatch.setattr(reader, "_CHECKED_BYTES", 100_000)
    flip(folder / "train.ids.npy")
    open_store(tmp_path, "toy")
    assert "checksums of 0.0 GB were not compared" in caplog.text
    with pytest.raises(InputError, match=r"train\.ids\.npy is damaged: its checksum"):
        writer.verify(tmp_path, "toy")


def test_verify_reads_every_row(tmp_path):
    folder = make(tmp_path)
    assert writer.verify(tmp_path, "toy") == {
        "dataset": "toy",
        "version": "2.0.0",
        "rows": {"train": TRAIN, "validation": VALIDATION},
        "checksums": True,
    }
    # Checksums of wrong rows are right where the writer was wrong.
    counts = np.load(folder / "counts.npy")
    np.save(folder / "counts.npy", counts + 1)
    rewrite_manifest(folder)
    with pytest.raises(InputError, match="does not hold the counts"):
        writer.verify(tmp_path, "toy")
