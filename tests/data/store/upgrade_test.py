import dataclasses
import json
import logging
import pathlib
import sys
import tarfile

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from afm_jax.data.preparation import builder
from afm_jax.data.store import folders, reader, upgrade, writer
from afm_jax.data.store.folders import store_folder
from afm_jax.data.store.reader import open_store
from afm_jax.data.store.writer import Block
from afm_jax.errors import InputError
from afm_jax.features import Field, Rows, Schema

STORED = pathlib.Path(__file__).parents[2] / "stored" / "afm_jax_0.1.0.tar.gz"
"""A store and a run that version 0.1.0 made, of a small CSV with all kinds of columns."""


@pytest.fixture
def old(tmp_path):
    """The folder of stores of version 0.1.0."""
    with tarfile.open(STORED) as stored:
        stored.extractall(tmp_path, filter="data")
    return tmp_path / "prepared"


def assert_equal_rows(rows, expected):
    for column, other in zip(rows, expected, strict=True):
        if other is None:
            assert column is None
        else:
            np.testing.assert_array_equal(column, other)


def test_a_store_of_version_1_is_read_and_says_that_it_has_no_checksums(old, caplog):
    caplog.set_level(logging.INFO)
    opened = open_store(old, "csv")
    assert "of version 1, whose files have no checksums" in caplog.text
    assert folders.names(old) == ("csv",)
    assert dict(opened.schema.rows) == {"train": 120, "validation": 40}
    train = opened.splits["train"]
    assert train.ids.shape == train.values.shape == (120, 5)
    assert train.weights is None
    assert train.numbers is None
    assert opened.schema.dense[0].low is None
    assert opened.counts.sum() == np.count_nonzero(train.values)
    # Values that have no id are not known, so that they are in no group.
    groups = opened.groups("validation", "user")
    unseen = opened.splits["validation"].ids[:, 0] < 2
    np.testing.assert_array_equal(groups < 0, unseen)


def test_upgrading_keeps_the_rows_and_reading_prefers_the_new_store(old):
    before = open_store(old, "csv")
    written = upgrade.upgrade(old, "csv")
    assert store_folder(old, "csv").is_dir()
    after = open_store(old, "csv")
    assert after.schema == written.schema
    assert after.schema.same_data(before.schema)
    assert after.schema.difference(before.schema) is None
    for split, rows in before.splits.items():
        assert_equal_rows(after.splits[split], rows)
    np.testing.assert_array_equal(after.counts, before.counts)
    assert (store_folder(old, "csv") / "vocabularies.parquet").is_file()
    with pytest.raises(InputError, match=r"2\.0\.0 exists"):
        upgrade.upgrade(old, "csv")


def test_a_damaged_store_is_not_passed_over_for_an_older_one(old):
    upgrade.upgrade(old, "csv")
    (store_folder(old, "csv") / "schema.json").unlink()
    with pytest.raises(InputError, match=r"2\.0\.0/schema\.json is damaged"):
        open_store(old, "csv")


def test_records_alone_are_told_and_upgraded(old):
    expected = open_store(old, "csv").splits["train"]
    for path in (old / "csv" / "1.0.0" / "arrays").iterdir():
        path.unlink()
    (old / "csv" / "1.0.0" / "arrays").rmdir()
    with pytest.raises(InputError, match=r"prepare --upgrade --name=csv --data_dir="):
        open_store(old, "csv")
    upgrade.upgrade(old, "csv")
    assert_equal_rows(open_store(old, "csv").splits["train"], expected)


def test_a_store_that_names_code_never_runs_it(old, tmp_path, monkeypatch):
    folder = old / "csv" / "1.0.0"
    code = tmp_path / "hostile"
    code.mkdir()
    (code / "evil_features.py").write_text("raise SystemExit('code of the store ran')")
    monkeypatch.syspath_prepend(code)
    for path in folder.glob("*.json"):
        if path.name in ("features.json", "dataset_info.json"):
            text = path.read_text().replace(
                "tensorflow_datasets.core.features", "evil_features"
            )
            text = text.replace('"moduleName": "', '"moduleName": "evil_features.')
            path.write_text(text)
    assert "evil_features" in (folder / "features.json").read_text()
    open_store(old, "csv")
    upgrade.upgrade(old, "csv")
    open_store(old, "csv")
    assert "evil_features" not in sys.modules


def test_records_need_no_file_that_says_what_they_hold(old):
    for name in ("features.json", "dataset_info.json"):
        (old / "csv" / "1.0.0" / name).unlink()
    assert dict(upgrade.upgrade(old, "csv").schema.rows)["train"] == 120


def random_rows(count, seed):
    rng = np.random.default_rng(seed)
    return Rows(
        rng.integers(0, 9, (count, 1)).astype(np.int32),
        None,
        np.zeros((count, 0), np.float32),
        rng.random(count).astype(np.float32),
        rng.uniform(0.5, 2, count).astype(np.float32),
        rng.permutation(count),
    )


class Toy(builder.BlockBuilder):
    def encode(self, source, folder):
        schema = Schema("toy", (Field("user", "categorical", 9, 0),))
        return builder.Encoded(schema, [Block("train", random_rows(20_000, 0))])


def test_a_store_comes_back_from_its_records(tmp_path):
    builder.build(Toy, data_dir=tmp_path)
    builder.write_records(tmp_path, "toy")
    before = open_store(tmp_path, "toy")
    store_folder(tmp_path, "toy").rename(tmp_path / "away")
    upgrade.upgrade(tmp_path, "toy")
    after = open_store(tmp_path, "toy")
    assert_equal_rows(after.splits["train"], random_rows(20_000, 0))
    assert after.schema == before.schema


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip, pathlib.Path.unlink])
def test_damaged_records_are_refused_and_leave_no_store(tmp_path, damage):
    builder.build(Toy, data_dir=tmp_path)
    folder = builder.write_records(tmp_path, "toy")
    store_folder(tmp_path, "toy").rename(tmp_path / "away")
    damage(folder / "toy-train.array_record-00000")
    with pytest.raises(InputError, match=r"records (of train )?in .*toy/1\.0\.0"):
        upgrade.upgrade(tmp_path, "toy")
    assert not store_folder(tmp_path, "toy").exists()


def test_records_of_other_rows_than_told_are_refused(old):
    path = old / "csv" / "1.0.0" / "schema.json"
    schema = reader.read_schema(path.parent)
    path.write_text(dataclasses.replace(schema, rows={"train": 119}).to_json())
    with pytest.raises(InputError, match=r"120\} rows, expected \{'train': 119\}"):
        upgrade.upgrade(old, "csv")
    assert not store_folder(old, "csv").exists()


@pytest.mark.parametrize(
    "name", ["manifest.json", "train.ids.npy", "train.labels.npy", "train.values.npy"]
)
def test_damaged_arrays_of_version_1_are_refused(old, name):
    truncate(old / "csv" / "1.0.0" / "arrays" / name)
    with pytest.raises(InputError, match=r"arrays/.* damaged"):
        open_store(old, "csv")


def test_a_flipped_bit_in_a_header_of_version_1_is_one_line_or_harmless(old):
    path = old / "csv" / "1.0.0" / "arrays" / "train.ids.npy"
    whole, rows = path.read_bytes(), open_store(old, "csv").splits["train"]
    for place in range(0, 8 * path.stat().st_size - rows.ids.nbytes * 8, 3):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            found = open_store(old, "csv").splits["train"]
        except InputError as error:
            told = str(error)
        else:
            told = "harmless"
            np.testing.assert_array_equal(found.ids, rows.ids)
        assert "\n" not in told


@pytest.mark.parametrize("sizes", ["[]", '{"../x": 1}', "7", "[" * 99_999])
def test_an_odd_manifest_of_version_1_is_refused(old, sizes):
    path = old / "csv" / "1.0.0" / "arrays" / "manifest.json"
    path.write_text(sizes)
    with pytest.raises(InputError, match=r"manifest\.json is damaged"):
        open_store(old, "csv")


def test_verifying_version_1_checks_its_rows(old):
    assert writer.verify(old, "csv")["checksums"] is False
    path = old / "csv" / "1.0.0" / "arrays" / "train.ids.npy"
    ids = np.load(path)
    ids[7, 1] = 99
    np.save(path, ids)
    with pytest.raises(InputError, match="id 99 of field 'item'"):
        writer.verify(old, "csv")


def test_schemas_of_version_1_and_2_agree_on_what_both_tell(old):
    schema = reader.read_schema(old / "csv" / "1.0.0")
    newer = dataclasses.replace(
        schema,
        label_mean=0.5,
        source_rows={"x": 1},
        options={**schema.options, "new": 7},
    )
    assert schema.same_data(newer)
    assert not schema.same_data(dataclasses.replace(newer, rows={"train": 1}))
    options = {**schema.options, "min_count": 99}
    assert not schema.same_data(dataclasses.replace(newer, options=options))
    assert json.loads(schema.to_json())["label_mean"] is None


def test_a_range_that_only_one_schema_knows_makes_no_difference(old):
    schema = reader.read_schema(old / "csv" / "1.0.0")
    column = dataclasses.replace(schema.dense[0], low=0.0, high=4.5)
    newer = dataclasses.replace(schema, dense=(column, *schema.dense[1:]))
    assert schema.difference(newer) is newer.difference(schema) is None
    higher = dataclasses.replace(column, high=5.0)
    other = dataclasses.replace(newer, dense=(higher, *schema.dense[1:]))
    assert newer.difference(other) == "dense column 'age': high is 4.5 against 5.0"
    # The training rows may differ, so a run does not go on with them.
    assert not schema.same_data(newer)
