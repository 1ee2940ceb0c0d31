import errno
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

from afm_jax import files
from afm_jax.data import synthetic
from afm_jax.data.fields import hash_buckets
from afm_jax.data.formats.dialect import CSV as CSV_FILES
from afm_jax.data.formats.dialect import Dialect
from afm_jax.data.preparation import fitting
from afm_jax.data.store import arrays, vocabularies, writer
from afm_jax.data.store.reader import open_store
from data import prepare
from experiments.cli import program


def run(source, data_dir, *flags):
    arguments = [f"--source={source}", f"--data_dir={data_dir}", *flags]
    return program.run(prepare.main, prepare.FLAGS, ["prepare", *arguments])


def criteo_row(rng, label):
    numbers = rng.integers(0, 1000, 13)
    return "\t".join([label, *map(str, numbers), *(f"{x:08x}" for x in range(26))])


def criteo_lines(rows=30):
    rng = np.random.default_rng(0)
    return [criteo_row(rng, str(row % 2)) for row in range(rows)]


def csv_lines(rows=30):
    return ["y,city,price", *(f"{row % 2},c{row % 3},{row}" for row in range(rows))]


CSV = ("--dataset=csv", "--label=y", "--categorical=city", "--numeric=price")


def stored(data_dir):
    return sorted(path for path in data_dir.rglob("*")) if data_dir.exists() else []


def stored_versions(data_dir):
    return sorted(path.name for path in (data_dir / "csv").iterdir())


def changed(lines, number, line):
    return "\n".join([*lines[: number - 1], line, *lines[number:]]) + "\n"


BAD = {
    "wrong number of columns": (
        changed(criteo_lines(), 17, "0\t1\t2").encode(),
        ("--dataset=criteo",),
        "line 17: 3 columns, expected 40 (label, 13 numbers, 26 categories).",
    ),
    "no label": (
        changed(criteo_lines(), 30, criteo_lines()[1].replace("1", "7", 1)).encode(),
        ("--dataset=criteo",),
        "line 30: the label is '7', expected 0 or 1.",
    ),
    "text for a number": (
        changed(csv_lines(), 12, "1,c1,cheap").encode(),
        CSV,
        "line 12: price is 'cheap', expected a finite number.",
    ),
    "undecodable bytes": (
        changed(csv_lines(), 5, "1,Orléans,3").encode("latin-1"),
        CSV,
        "line 5: byte 0xe9 is not UTF-8; expected UTF-8 text. csv, libfm and libffm take --encoding, such as latin-1",
    ),
    "empty file": (b"", ("--dataset=criteo",), " is empty; expected rows of data."),
    "header only": (b"y,city,price\n", CSV, "The source has no rows to split"),
    "truncated gzip": (
        gzip.compress("\n".join(criteo_lines(3000)).encode())[:-1000],
        ("--dataset=criteo",),
        ": this gzip file ends in the middle (truncated); get it again.",
    ),
    "another delimiter": (
        "\n".join(csv_lines()).replace(",", ";").encode(),
        CSV,
        "line 1 has no column 'y'; it has 'y;city;price'. The values seem to be separated by ';': give --delimiter=';'.",
    ),
    "no header": (
        "\n".join(csv_lines()[1:]).encode(),
        CSV,
        "line 1 has no column 'y'; it has '0', 'c0', '0'. If the first line is a row of data, give --header=false; columns are then named by their place, from 0 on.",
    ),
    "libFM's features for libFFM's": (
        b"1 3:1 4:1\n0 3:1 4:1\n",
        ("--dataset=libffm",),
        "line 1, column 2: '3:1', expected field:feature:value, three numbers.",
    ),
    "missing column": (
        "\n".join(csv_lines()).encode(),
        (*CSV[:2], "--categorical=city,color"),
        " has no column 'color'; it has 'y', 'city', 'price'.",
    ),
    "always missing": (
        "\n".join(line.replace("c", "", 1) for line in csv_lines())
        .replace("y,ity", "y,city")
        .replace(",0,", ",,")
        .replace(",1,", ",,")
        .replace(",2,", ",,")
        .encode(),
        CSV,
        "Column 'city' is missing in every training row; expected some values.",
    ),
    "a feature that is none": (
        b"1 3:1 4:1\n0 3:1 4\n",
        ("--dataset=libfm",),
        "line 2, column 3: '4', expected id:value, two numbers.",
    ),
    "too few rows": (b"1 3:1\n0 3:1\n", ("--dataset=libfm",), "2 rows are too few"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_no_store(tmp_path, capsys, case):
    content, flags, told = BAD[case]
    source, data_dir = tmp_path / "rows.txt", tmp_path / "new" / "data"
    source.write_bytes(content)
    assert run(source, data_dir, *flags) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert len(err.splitlines()) == 1
    if told.startswith("line"):
        assert err.startswith(f"{source} line ")
    assert not out
    assert not data_dir.parent.exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--dataset=criteo", "--label=y"), "--label has no meaning for criteo"),
        (
            ("--dataset=criteo", "--label=y", "--name=x"),
            "--label has no meaning for criteo",
        ),
        (("--dataset=criteo", "--fractions=0.8,x"), "--fractions=0.8,x: expected"),
        (("--dataset=criteo", "--fractions=0.8,0.1"), "sum to 1"),
        (("--dataset=criteo", "--fractions=nan,0.1"), "sum to 1"),
        (("--dataset=criteo", "--name="), "--name is empty; expected"),
        (("--dataset=criteo", "--buckets=5"), "--buckets has no meaning without"),
        (("--dataset=criteo", "--split=time", "--seed=1"), "--seed has no meaning"),
        (("--dataset=libfm", "--field_sizes=1.5"), "1.5: expected whole numbers"),
        (("--dataset=criteo", "--min_count=0"), "--min_count=0, expected at least 1"),
        (("--dataset=criteo", "--numeric_as=log"), "'log' is none of dense"),
        (("--dataset=criteo", "--name=No Name"), "no name for a data set"),
        (("--dataset=csv", "--categorical=c"), "Give --label=NAME"),
        (("--dataset=criteo", "--delimiter=;"), "--delimiter has no meaning for cri"),
        (("--dataset=avazu", "--na_values=x"), "--na_values has no meaning for avazu"),
        (("--dataset=criteo", "--decimal=,"), "--decimal has no meaning for criteo"),
        (("--dataset=parquet", "--header=false"), "--header has no meaning for parq"),
        ((*CSV, "--delimiter=;;"), "--delimiter=';;', expected tab, space, or one"),
        ((*CSV, "--decimal=;"), "--decimal=;, expected . or a comma."),
        ((*CSV, "--encoding=utf-9"), "--encoding=utf-9 is no encoding of text"),
        ((*CSV, "--escape=maybe"), "--escape"),
        (
            ("--dataset=csb",),
            "<frappe|criteo|avazu|movielens_100k|libfm|libffm|csv|parquet|synthetic>",
        ),
    ],
)
def test_a_mistake_in_the_flags_is_one_line(tmp_path, capsys, flags, told):
    source = tmp_path / "rows.txt"
    source.write_text("\n".join(criteo_lines()))
    assert run(source, tmp_path / "data", *flags) == 2
    err = capsys.readouterr().err
    assert told in err
    assert len(err.splitlines()) == 1
    assert stored(tmp_path / "data") == []


def test_a_data_dir_that_is_a_file_is_a_mistake(tmp_path, capsys):
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(csv_lines()))
    assert run(source, source, *CSV) == 2
    assert capsys.readouterr().err == (
        f"{source} is a file; expected a folder, or nothing yet.\n"
    )


def test_given_splits_are_not_split(tmp_path, capsys):
    for name in ("train", "val"):
        (tmp_path / f"{name}.csv").write_text("\n".join(csv_lines()))
    assert run(tmp_path, tmp_path / "data", *CSV, "--fractions=0.5,0.5") == 2
    assert "leave out --split, --fractions and --seed" in capsys.readouterr().err


def command(*arguments):
    root = pathlib.Path(prepare.__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "data.prepare", *map(str, arguments)],
        cwd=root,
        capture_output=True,
        text=True,
    )


def test_the_command_prepares_a_file_and_tells_a_mistake(tmp_path, capsys):
    good, bad = tmp_path / "rows.txt.gz", tmp_path / "bad.txt"
    good.write_bytes(gzip.compress("\n".join(criteo_lines()).encode()))
    bad.write_text(changed(criteo_lines(), 3, "0"))
    flags = [f"--data_dir={tmp_path / 'data'}", "--dataset=criteo", "--min_count=2"]
    done = command(f"--source={good}", *flags)
    assert done.returncode == 0
    result = json.loads(done.stdout.splitlines()[-1])
    assert result.pop("rows_per_second") > 0
    assert result.pop("unseen").keys() <= {"train", "validation", "test"}
    assert result.pop("missing") == {}
    assert sum(result.pop("positives").values()) == 15
    assert result == {
        "dataset": "criteo",
        "rows": {"train": 24, "validation": 3, "test": 3},
        "fields": 26,
        "vocab_size": 26 * 3,
        "labels": "0 or 1",
        "data_dir": str(tmp_path / "data"),
    }
    assert run(bad, tmp_path / "data", *flags[1:], "--name=other") == 2
    assert capsys.readouterr() == (
        "",
        f"{bad} line 3: 1 column, expected 40 (label, 13 numbers, 26 categories).\n",
    )
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["criteo"]


def test_without_the_extra_packages_it_says_what_to_install(tmp_path):
    code = f"""
import sys
sys.modules["polars"] = None
from data import prepare
from experiments.cli import program
flags = ["prepare", "--dataset=csv", "--source=x", "--data_dir={tmp_path}"]
sys.exit(program.run(prepare.main, prepare.FLAGS, flags))
"""
    root = pathlib.Path(prepare.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == (
        "data.prepare needs the package 'polars'; pip install -e '.[data]' in the project's folder.\n"
    )


def test_a_store_is_replaced_only_if_asked_to_and_only_by_a_whole_one(tmp_path, capsys):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    assert run(source, data_dir, *CSV) == 0
    assert run(source, data_dir, *CSV) == 2
    assert "--overwrite" in capsys.readouterr().err
    source.write_text("\n".join(csv_lines(50)))
    assert run(source, data_dir, *CSV, "--overwrite") == 0
    assert open_store(data_dir, "csv").schema.rows["train"] == 40
    source.write_text(changed(csv_lines(60), 7, "x"))
    assert run(source, data_dir, *CSV, "--overwrite") == 2
    assert open_store(data_dir, "csv").schema.rows["train"] == 40
    assert [path.name for path in (data_dir / "csv").iterdir()] == ["2.0.0"]


KILLED = """
import os, signal, sys
from afm_jax.data.preparation import fitting
from data import prepare
from experiments.cli import program
fitting.encode = lambda *arguments, **named: os.kill(os.getpid(), signal.SIGKILL)
program.run(prepare.main, prepare.FLAGS, ["prepare", *sys.argv[1:]])
"""


def test_a_kill_leaves_the_store_that_was_to_be_replaced(tmp_path):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    assert run(source, data_dir, *CSV) == 0
    flags = (f"--source={source}", f"--data_dir={data_dir}", *CSV, "--overwrite")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *flags],
        cwd=pathlib.Path(prepare.__file__).parents[1],
    )
    assert done.returncode == -signal.SIGKILL
    assert open_store(data_dir, "csv").schema.rows["train"] == 24
    assert len(stored_versions(data_dir)) == 2  # the store, and what the kill has left
    source.write_text("\n".join(csv_lines(50)))
    assert run(source, data_dir, *CSV, "--overwrite") == 0
    assert open_store(data_dir, "csv").schema.rows["train"] == 40
    assert stored_versions(data_dir) == ["2.0.0"]


def test_an_interrupt_or_a_kill_between_old_and_new_loses_neither(
    tmp_path, monkeypatch, capsys
):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    assert run(source, data_dir, *CSV) == 0
    rename = pathlib.Path.rename

    def interrupted(path, target):
        if path.name.startswith(".incomplete"):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "rename", interrupted)
        # As on a file system that cannot exchange two folders.
        patched.setattr(files, "_exchange", lambda one, two: False)
        assert run(source, data_dir, *CSV, "--overwrite") == 130
    assert stored_versions(data_dir) == ["2.0.0"]
    store = data_dir / "csv" / "2.0.0"
    store.rename(store.with_name(".2.0.0.old"))
    assert open_store(data_dir, "csv").schema.rows["train"] == 24
    assert run(source, data_dir, *CSV) == 2
    assert "give --overwrite to replace it" in capsys.readouterr().err
    assert open_store(data_dir, "csv").schema.rows["train"] == 24


def test_numbers_alone_are_cut_into_buckets_or_refused(tmp_path, capsys):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    flags = ("--dataset=csv", "--label=y", "--numeric=price")
    assert run(source, data_dir, *flags) == 2
    assert "There is no field to embed" in capsys.readouterr().err
    assert run(source, data_dir, *flags, "--numeric_as=bucket_quantile") == 0
    assert [field.kind for field in open_store(data_dir, "csv").schema.fields] == [
        "bucket_quantile"
    ]


def test_a_file_written_otherwise_gives_the_rows_of_the_plain_file(tmp_path):
    rows = [f"{row % 2},c{row % 3},{row / 4}" for row in range(30)]
    rows[3] = '1,"Orléans; a ""b""",'
    plain, other, bare = (tmp_path / f"{name}.csv" for name in ("a", "b", "c"))
    plain.write_text("\n".join(["y,city,price", *rows]))
    rows = [row.replace(",", ";").replace(".", ",") for row in rows]
    rows[3] = '1;Orléans\\; a \\"b\\";NA'
    other.write_bytes("\n".join(["y;city;price", *rows]).encode("cp1252"))
    bare.write_bytes("\n".join(rows).encode("utf-16"))
    written = ("--delimiter=;", "--decimal=,", "--na_values=NA,NULL", "--escape")
    assert run(plain, tmp_path, *CSV) == 0
    flags = (*CSV, *written, "--encoding=cp1252", "--name=other")
    assert run(other, tmp_path, *flags) == 0
    flags = ("--label=0", "--categorical=1", "--numeric=2", "--header=false")
    flags = ("--dataset=csv", "--encoding=utf-16", *flags, *written, "--name=bare")
    assert run(bare, tmp_path, *flags) == 0
    stores = [open_store(tmp_path, name) for name in ("csv", "other", "bare")]
    for store in stores[1:]:
        for split, expected in stores[0].splits.items():
            np.testing.assert_array_equal(store.splits[split].ids, expected.ids)
            np.testing.assert_array_equal(store.splits[split].dense, expected.dense)
            np.testing.assert_array_equal(store.splits[split].labels, expected.labels)
    known = [store.vocabularies.tables() for store in stores]
    cities = [
        table[name].values
        for table, name in zip(known, ("city", "city", "1"), strict=True)
    ]
    assert list(cities[0]) == list(cities[1]) == list(cities[2])
    # A store's options tell how to read further files.
    assert Dialect.of_csv(stores[2].schema.options) == Dialect(
        delimiter=";",
        quoted=True,
        escape=True,
        header=False,
        decimal=",",
        encoding="utf-16",
        na_values=("NA", "NULL"),
    )
    assert Dialect.of_csv(stores[0].schema.options) == CSV_FILES


def test_libffm_fields_are_those_of_their_numbers(tmp_path):
    source = tmp_path / "rows.ffm"
    rows = [f"{row % 2} 1:{row % 3}:1 0:{row % 4}:0.5 1:9:1" for row in range(40)]
    source.write_text("\n".join(rows))
    flags = ("--dataset=libffm", "--field_names=user,tags")
    assert run(source, tmp_path / "data", *flags) == 0
    store = open_store(tmp_path / "data", "libffm")
    assert [(f.name, f.slots) for f in store.schema.fields] == [
        ("user", 1),
        ("tags", 2),
    ]
    row = int(store.splits["train"].numbers[0])
    words = words_of(store, tmp_path / "data", "train", 0)
    assert words == {"user": [str(row % 4)], "tags": [str(row % 3), "9"]}
    assert store.splits["train"].values[0].tolist() == [0.5, 1, 1]


def test_hash_buckets_need_no_vocabulary(tmp_path):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    assert run(source, data_dir, *CSV, "--hash_buckets=city:8") == 0
    assert writer.verify(data_dir, "csv")["checksums"]
    found = open_store(data_dir, "csv")
    assert [(f.name, f.kind, f.vocab_size) for f in found.schema.fields] == [
        ("city", "hash_buckets", 10)
    ]
    train = found.splits["train"]
    cities = [line.split(",")[1] for line in csv_lines()[1:]]
    hashes = hash_buckets.fnv1a(pl.Series(cities))[train.numbers]
    np.testing.assert_array_equal(train.ids[:, 0], 2 + hashes % np.uint64(8))
    known = data_dir / "csv" / "2.0.0" / vocabularies.KNOWN_FILE
    assert pl.read_parquet(known).is_empty()


def test_an_interrupt_leaves_no_store(tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "fit", interrupted)
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(csv_lines()))
    assert run(source, tmp_path / "data", *CSV) == 130
    assert not (tmp_path / "data").exists()


def test_too_few_synthetic_rows_to_encode_are_told(tmp_path, capsys):
    flags = ["prepare", "--dataset=synthetic", "--rows=1,1", f"--data_dir={tmp_path}/d"]
    assert program.run(prepare.main, prepare.FLAGS, flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--rows: no training row has a number in I")
    assert not (tmp_path / "d").exists()


def test_synthetic_rows_are_drawn_as_in_memory_with_what_is_possible(tmp_path, capsys):
    flags = ("--seed=3", "--rows=900,300", "--min_count=4")
    arguments = ["prepare", "--dataset=synthetic", f"--data_dir={tmp_path}", *flags]
    assert program.run(prepare.main, prepare.FLAGS, arguments) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["rows"] == {"train": 900, "validation": 300}
    store = open_store(tmp_path, "synthetic")
    rows = {"train": 900, "validation": 300}
    expected = synthetic.make(3, rows=rows, min_count=4)
    assert store.schema == expected.schema
    for split in rows:
        np.testing.assert_array_equal(
            store.splits[split].ids, expected.splits[split].ids
        )
        np.testing.assert_array_equal(
            store.probabilities[split], expected.probabilities[split]
        )


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--source=x",), "--source has no meaning for synthetic, which is drawn."),
        (("--label=y",), "--label has no meaning for synthetic; its options are seed"),
        (("--seed=-1",), "--seed=-1, expected at least 0."),
        (("--rows=9",), "--rows=9, expected how many rows for train, validation"),
        (("--rows=9,0",), "--rows=9,0, expected how many"),
        (("--rows=9,x",), "--rows=9,x: expected whole numbers"),
        (("--rows=99999999999999,3",), "--rows=99999999999999,3 need 31,200,000 GB"),
    ],
)
def test_a_mistake_in_the_flags_of_synthetic_is_one_line(tmp_path, capsys, flags, told):
    arguments = ["prepare", "--dataset=synthetic", f"--data_dir={tmp_path}/data"]
    assert program.run(prepare.main, prepare.FLAGS, [*arguments, *flags]) == 2
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert len(err.splitlines()) == 1
    assert stored(tmp_path / "data") == []


def test_all_other_datasets_need_a_source(tmp_path, capsys):
    arguments = ["prepare", "--dataset=csv", f"--data_dir={tmp_path}/data"]
    assert program.run(prepare.main, prepare.FLAGS, arguments) == 2
    assert capsys.readouterr().err.startswith("--source is required: File or folder")
    assert not (tmp_path / "data").exists()


# Full at the first folder, in the spill, in the records.
@pytest.mark.parametrize("free", [0, 120_000, 500_000])
def test_a_full_disk_is_one_line_and_leaves_no_store(
    tmp_path, small_disk, capsys, free
):
    source = tmp_path / "rows.txt"
    source.write_text("\n".join(criteo_lines(1_500)))
    (small_disk / "other").write_bytes(bytes(2**20 - free))
    assert run(source, small_disk / "data", "--dataset=criteo") == 2
    out, err = capsys.readouterr()
    assert "No space left on device; make some, or write elsewhere.\n" in err
    assert len(err.splitlines()) == 1
    assert not out
    assert stored(small_disk / "data") == []


def test_a_store_that_could_not_be_finished_is_not_kept(tmp_path, capsys, monkeypatch):
    def full(path, *arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    source = tmp_path / "rows.csv"
    source.write_text("\n".join(csv_lines()))
    monkeypatch.setattr(arrays, "write_manifest", full)
    assert run(source, tmp_path / "data", *CSV) == 2
    assert "incomplete" in capsys.readouterr().err
    assert stored(tmp_path / "data") == []


def test_csv_and_parquet_of_the_same_rows_give_the_same_store(tmp_path):
    lines, data_dir = csv_lines(300), tmp_path / "data"
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    pl.read_csv(tmp_path / "rows.csv").write_parquet(tmp_path / "rows.parquet")
    assert run(tmp_path / "rows.csv", data_dir, *CSV) == 0
    flags = ("--dataset=parquet", *CSV[1:])
    assert run(tmp_path / "rows.parquet", data_dir, *flags) == 0
    one, two = (open_store(data_dir, name) for name in ("csv", "parquet"))
    assert one.schema.fields == two.schema.fields
    assert one.schema.dense == two.schema.dense
    for split in ("train", "validation", "test"):
        np.testing.assert_array_equal(one.splits[split].ids, two.splits[split].ids)
        np.testing.assert_array_equal(one.splits[split].dense, two.splits[split].dense)


def test_given_splits_may_lack_a_test_split(tmp_path):
    for name in ("train", "validation"):
        rows = (f"{label} {label + 3}:1 9:1" for label in (1, 0, 1))
        (tmp_path / f"x.{name}.libfm").write_text("\n".join(rows))
    assert run(tmp_path, tmp_path / "data", "--dataset=libfm", "--name=x_1") == 0
    store = open_store(tmp_path / "data", "x_1")
    assert list(store.splits) == ["train", "validation"]
    assert store.schema.sources.keys() == {"x.train.libfm", "x.validation.libfm"}
    assert store.schema.options["split"] is store.schema.options["fractions"] is None
    assert store.splits["train"].ids.tolist() == [[2, 6], [3, 6], [2, 6]]
    assert store.splits["validation"].labels.tolist() == [1, 0, 1]


def test_avazu_has_the_defaults_of_its_benchmark(tmp_path):
    from data.avazu import avazu_reader

    header = ["id", "click", "hour", *avazu_reader.CATEGORIES]
    row = "{0},{1},141021{2:02},{0}" + ",x" * 20
    lines = [",".join(header), *(row.format(i, i % 2, i % 24) for i in range(200))]
    (tmp_path / "train").write_text("\n".join(lines))
    flags = ("--dataset=avazu", "--split=time", "--fractions=0.5,0.5")
    assert run(tmp_path / "train", tmp_path / "data", *flags) == 0
    store = open_store(tmp_path / "data", "avazu")
    sizes = {field.name: field.vocab_size for field in store.schema.fields}
    assert store.schema.options["min_count"] == 2
    # Hours 0 to 10 and part of 11 are the first half; all values of C1 are rare.
    assert (sizes["hour_of_day"], sizes["C1"], sizes["C21"]) == (14, 2, 3)
    assert dict(store.schema.rows) == {"train": 100, "validation": 100}
    hour = store.schema.fields[0]
    late = store.splits["validation"].ids[:, 0] == hour.offset + 1
    assert late.sum() == 200 - 12 * 8 - 8  # hours past 11 are unseen


def read_lines(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def words_of(store, data_dir, split, row):
    """The values of a row's fields, by name."""
    known = store.vocabularies.tables()
    words = {}
    for field in store.schema.fields:
        slot = store.schema.slot(field.name)
        ids = store.splits[split].ids[row, slot : slot + field.slots] - field.offset
        names = ["missing", "unseen", *known[field.name].values]
        words[field.name] = [names[i] for i in ids]
    return words


def test_real_criteo(tmp_path, real_data):
    source = real_data / "criteo_10k" / "train.txt.gz"
    flags = ("--dataset=criteo", "--split=time", "--min_count=1")
    assert run(source, tmp_path, *flags) == 0
    store = open_store(tmp_path, "criteo")
    rows = [line.split("\t") for line in read_lines(source)]
    assert dict(store.schema.rows) == {"train": 8000, "validation": 1000, "test": 1000}
    for index, field in enumerate(store.schema.fields):
        seen = {row[14 + index] for row in rows[:8000]} - {""}
        assert field.vocab_size == 2 + len(seen)
    for row in (0, 1, 2, 777, 7999):
        words = words_of(store, tmp_path, "train", row)
        expected = [value or "missing" for value in rows[row][14:]]
        assert [word for (word,) in words.values()] == expected
    column = store.schema.dense[1]
    values = store.splits["train"].dense[:3, 1] * column.std + column.mean
    np.testing.assert_allclose(np.expm1(values), [1, 0, 0], atol=1e-5)  # I2 of 3 rows
    assert store.splits["train"].labels.sum() == sum(
        row[0] == "1" for row in rows[:8000]
    )


def test_real_frappe(tmp_path, real_data):
    assert run(real_data / "frappe", tmp_path, "--dataset=frappe") == 0
    store = open_store(tmp_path, "frappe")
    assert dict(store.schema.rows) == {"train": 202027, "validation": 57722}
    sizes = [field.vocab_size - 2 for field in store.schema.fields]
    assert sizes[2:] == [7, 7, 2, 3, 2, 9, 80, 233]
    lines = read_lines(real_data / "frappe" / "frappe.train.libfm.gz")
    assert sizes[0] == len({line.split()[1] for line in lines})
    assert sizes[1] == len({line.split()[2] for line in lines})
    lines = read_lines(real_data / "frappe" / "frappe.validation.libfm.gz")
    for row in (0, 1, 57721):
        label, *tokens = lines[row].split()
        words = words_of(store, tmp_path, "validation", row)
        found = [word for (word,) in words.values()]
        expected = [token.split(":")[0] for token in tokens]
        assert all(a in (b, "unseen") for a, b in zip(found, expected, strict=True))
        assert store.splits["validation"].labels[row] == (label == "1")


def test_real_movielens(tmp_path, real_data):
    source = real_data / "movielens_100k"
    assert run(source, tmp_path, "--dataset=movielens_100k", "--split=time") == 0
    store = open_store(tmp_path, "movielens_100k")
    ratings = np.loadtxt(source / "u.data", np.int64)
    order = np.argsort(ratings[:, 3], kind="stable")
    train = ratings[np.sort(order[:80000])]
    assert store.splits["train"].labels.sum() == (train[:, 2] >= 4).sum()
    sizes = {field.name: field.vocab_size - 2 for field in store.schema.fields}
    assert sizes["user"] == len(np.unique(train[:, 0]))
    assert sizes["item"] == len(np.unique(train[:, 1]))
    assert sizes["genres"] <= 19
    row = int(np.flatnonzero(train[:, 1] == 1)[0])  # a rating of Toy Story
    words = words_of(store, tmp_path, "train", row)
    assert words["release_year"] == ["1995"]
    genres = [word for word in words["genres"] if word != "missing"]
    assert genres == ["Animation", "Children's", "Comedy"]
    values = store.splits["train"].values[row]
    assert values.tolist() == [1] * 7 + [1] * 3 + [0] * (len(values) - 10)


def test_values_that_training_never_had_are_told_by_split_and_field(tmp_path, capsys):
    rows = [f"{row % 2},c{row % 3},{row}" for row in range(30)]
    (tmp_path / "train.csv").write_text("\n".join(["y,city,price", *rows]))
    rows = [*rows[:5], "1,c9,", "1,c1,", "0,,4"]
    (tmp_path / "validation.csv").write_text("\n".join(["y,city,price", *rows]))
    assert run(tmp_path, tmp_path / "data", *CSV) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["unseen"] == {"validation": {"city": 0.125}}
    assert result["missing"] == {"validation": {"city": 0.125, "price": 0.25}}
    assert "validation: missing values city 12.5%, price 25%." in err
    for what in ("unseen", "missing"):
        assert f"validation: {what} values city 12.5%" in err
        assert f"No training row has a value that is {what} in these fields" in err


def test_a_store_is_verified_and_an_old_one_upgraded(tmp_path, capsys):
    source, data_dir = tmp_path / "rows.csv", tmp_path / "data"
    source.write_text("\n".join(csv_lines()))
    assert run(source, data_dir, *CSV, "--records") == 0
    of_it = ["prepare", f"--data_dir={data_dir}", "--name=csv"]
    capsys.readouterr()
    assert program.run(prepare.main, prepare.FLAGS, [*of_it, "--verify"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"train": 24, "validation": 3, "test": 3}
    shutil.rmtree(data_dir / "csv" / "2.0.0")
    assert program.run(prepare.main, prepare.FLAGS, [*of_it, "--verify"]) == 2
    assert "--upgrade --name=csv" in capsys.readouterr().err
    assert program.run(prepare.main, prepare.FLAGS, [*of_it, "--upgrade"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == told["rows"]
    labels = data_dir / "csv" / "2.0.0" / "train.labels.npy"
    data = bytearray(labels.read_bytes())
    data[-1] ^= 1
    labels.write_bytes(data)
    assert program.run(prepare.main, prepare.FLAGS, [*of_it, "--verify"]) == 2
    assert "train.labels.npy is damaged: its checksum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--verify",), "--dataset is required"),
        (("--verify", "--name=x"), "No prepared data 'x' in"),
        (("--upgrade", "--name=x"), "There is no store of version 1 in"),
        (
            ("--verify", "--upgrade", "--name=x"),
            "--upgrade has no meaning beside --ver",
        ),
        (("--verify", "--name=x", "--seed=1"), "--seed has no meaning beside --verify"),
    ],
)
def test_mistakes_about_a_store_are_one_line(tmp_path, capsys, flags, told):
    arguments = ["prepare", f"--data_dir={tmp_path}", *flags]
    assert program.run(prepare.main, prepare.FLAGS, arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert len(err.splitlines()) == 1


def test_two_preparations_give_equal_files(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["y,city,user,tags,price"]
    for row in range(3_000):
        user, tags = rng.zipf(1.3), "|".join(map(str, rng.integers(0, 9, row % 4)))
        lines.append(f"{row % 2},c{row % 7},u{user},{tags},{rng.normal():.4f}")
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(lines))
    flags = (*CSV[:2], "--categorical=city,user", "--multi_valued=tags", CSV[3])
    for name in ("one", "two"):
        assert run(source, tmp_path / name, *flags, "--min_count=2", "--seed=3") == 0
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    assert len(one) > 15
    for first, second in zip(one, two, strict=True):
        assert first.name == second.name
        assert first.is_dir() or first.read_bytes() == second.read_bytes()


def test_columns_that_are_not_used_are_told(tmp_path, capsys):
    source = tmp_path / "rows.csv"
    source.write_text("\n".join(csv_lines()))
    flags = ("--dataset=csv", "--label=y", "--categorical=city")
    assert run(source, tmp_path / "data", *flags) == 0
    err = capsys.readouterr().err
    assert "Columns that are not used: 'price'." in err
    assert "Train: 24 rows, " in err


DAY_2 = "y,city,price\n1,c1,3\n0,never met,\n"


def of_day_1(tmp_path, *flags):
    """A folder with the store of some rows; what is told of it does not matter."""
    (tmp_path / "day1.csv").write_text("\n".join(csv_lines()))
    (tmp_path / "day2.csv").write_text(DAY_2)
    assert run(tmp_path / "day1.csv", tmp_path / "data", *CSV, *flags) == 0
    return tmp_path / "data"


def test_new_files_take_over_name_format_and_options_of_the_old_store(tmp_path, capsys):
    data_dir = of_day_1(tmp_path, "--name=clicks", "--na_values=c2")
    capsys.readouterr()
    flags = [f"--like={data_dir / 'clicks'}"]
    assert run(tmp_path / "day2.csv", tmp_path / "new", *flags) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["dataset"], result["rows"]) == ("clicks", {"test": 2})
    assert result["unseen"] == {"test": {"city": 0.5}}
    told = "No training row has a value that is unseen in these fields"
    assert told in err
    old, new = (open_store(each, "clicks") for each in (data_dir, tmp_path / "new"))
    assert new.schema.difference(old.schema) is None
    assert new.schema.options["na_values"] == ["c2"]
    # What is like the old store is as good as it, with records, too.
    flags = [f"--like={tmp_path / 'new' / 'clicks' / '2.0.0'}", "--records"]
    assert run(tmp_path / "day2.csv", tmp_path / "again", *flags) == 0
    again = open_store(tmp_path / "again", "clicks")
    np.testing.assert_array_equal(again.splits["test"].ids, new.splits["test"].ids)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--like={}/csv", "--name=b", "--positive=1"), "--positive=1, but {}/csv was"),
        (("--like={}",), "--like: {} is no store and no run; it holds the stores csv"),
        (("--like={}/csv", "--overwrite"), "--overwrite would replace; give the new"),
        (("--like={}/csv",), "{}/csv/2.0.0 exists; give --overwrite"),
        (("--like={}/csv", "--dataset=synthetic"), "has no meaning for synthetic"),
        (("--like={}/csv", "--verify"), "--dataset is required"),
        (("--like={}/csv", "--verify", "--name=csv"), "has no meaning beside --verify"),
        (("--like={}/csv", "--name=b", "--dataset=criteo"), "3 columns, expected 40"),
    ],
)
def test_a_mistake_beside_like_is_one_line(tmp_path, capsys, flags, told):
    data_dir = of_day_1(tmp_path)
    capsys.readouterr()
    flags = [flag.format(data_dir) for flag in flags]
    (tmp_path / "day2.csv").write_text("1\t2\t3\n" if "criteo" in flags[-1] else DAY_2)
    assert run(tmp_path / "day2.csv", data_dir, *flags) == 2
    err = capsys.readouterr().err
    assert told.format(data_dir) in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in data_dir.iterdir()] == ["csv"]
