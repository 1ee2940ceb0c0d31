"""What predict cannot read or write is one line and code 2, and leaves nothing behind."""

import functools
import gzip
import io
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import optax
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data.preparation import builder, raw_builder
from afm_jax.data.store.reader import open_store
from experiments import predict
from experiments.cli import program

ROOT = pathlib.Path(__file__).parents[2]


def table(rows):
    rng = np.random.default_rng(rows)
    return pl.DataFrame(
        {
            "row": [f"r{row}" for row in range(rows)],
            "click": rng.integers(0, 2, rows),
            "user": rng.integers(0, 30, rows),
            "price": rng.normal(size=rows).round(3),
            "when": [f"2024-03-01 {x:02d}:30:00" for x in rng.integers(0, 24, rows)],
            "weight": rng.uniform(size=rows).round(3),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    table(300).write_csv(folder / "day1.csv")
    builder.build(
        raw_builder.CsvBuilder,
        data_dir=folder / "data",
        source=folder / "day1.csv",
        options={
            **{"label": "click", "categorical": ("user",), "numeric": ("price",)},
            **{"time": "when", "time_fields": ("hour",), "weight": "weight"},
        },
    )
    store = open_store(folder / "data", "csv")
    task = training.Task(
        models.make("lr", schema=store.schema), optimizer=optax.sgd(0.1)
    )
    afm_jax.fit(task, store, epochs=1, folder=folder / "run")
    return folder


@functools.cache
def new():
    return table(100)


def cell(column, value, row=77):
    """The new rows as CSV, with one other value; the first row is in line 2."""
    at = pl.int_range(pl.len()) == row
    text = pl.when(at).then(pl.lit(value)).otherwise(pl.col(column).cast(pl.String))
    return new().with_columns(text.alias(column)).write_csv().encode()


def replace(old, value):
    return new().write_csv().encode().replace(old, value, 1)


def parquet(**columns):
    file = io.BytesIO()
    new().with_columns(**columns).write_parquet(file)
    return file.getvalue()


MALFORMED = {
    "a column too few": ("csv", lambda: new().drop("user").write_csv().encode(), "line 1 has no column 'user'"),
    "a name twice": ("csv", lambda: replace(b"row,", b"user,"), "line 1 has two columns named 'user'"),
    "text for a number": ("csv", lambda: cell("price", "cheap"), "line 79: price is 'cheap', expected a finite number"),
    "too large a number": ("csv", lambda: cell("price", "1e999"), "line 79: price is '1e999', expected a finite number"),
    "a short line": ("csv", lambda: replace(b"\nr77,", b"\nshort\nr77,"), "line 79: 1 column, expected 6"),
    "a long line": ("csv", lambda: replace(b"\nr77,", b"\nr77,more,"), "line 79: 7 columns, expected 6"),
    "no bytes": ("csv", lambda: b"", "is empty; expected rows"),
    "names alone": ("csv", lambda: replace(b"\n", b"\0").partition(b"\0")[0] + b"\n", "holds no rows"),
    "a zero byte": ("csv", lambda: replace(b"\nr77,", b"\nr\0,"), "line 79: a zero byte"),
    "no UTF-8": ("csv", lambda: replace(b"\nr77,", b"\nr\xff,"), "line 79: byte 0xff is not UTF-8"),
    "UTF-16": ("csv", lambda: new().write_csv().encode("utf-16"), "line 1: the text is in UTF-16"),
    "an open quote": ("csv", lambda: replace(b"\nr77,", b'\n"r77,'), "line 79: a quote that nothing closes, in column 1"),
    "a quote inside": ("csv", lambda: replace(b"\nr77,", b'\n"r"77,'), "line 79, column 1: "),
    "old line ends": ("csv", lambda: new().write_csv().encode().replace(b"\n", b"\r"), "line 1: a carriage return"),
    "a label": ("csv", lambda: cell("click", "7"), "line 79: click is '7', expected 0 or 1"),
    "no label": ("csv", lambda: cell("click", ""), "line 79: click is '', expected 0 or 1"),
    "a weight below 0": ("csv", lambda: cell("weight", "-1"), "line 79: weight is '-1', expected a weight"),
    "no weight": ("csv", lambda: cell("weight", ""), "line 79: weight is '', expected a weight"),
    "no such day": ("csv", lambda: cell("when", "2024-02-31 00:00:00"), "line 79: when is '2024-02-31 00:00:00', expected a date"),
    "no date": ("csv", lambda: cell("when", ""), "line 79: when is '', expected a date"),
    "a name of a result": ("csv", lambda: replace(b"row,", b"logit,"), "has a column 'logit'"),
    "an archive": ("csv", lambda: b"PK\x03\x04" + bytes(99), "is a zip archive"),
    "Parquet": ("csv", parquet, "is a Parquet file"),
    "no gzip": ("csv.gz", lambda: b"garbage" * 9, "line 1 has no column"),
    "half a gzip": ("csv.gz", lambda: gzip.compress(new().write_csv().encode())[:-99], "ends in the middle"),
    "CSV": ("parquet", lambda: new().write_csv().encode(), "no complete parquet file"),
    "half a Parquet": ("parquet", lambda: parquet()[:-99], "no complete parquet file"),
    "no Parquet": ("parquet", lambda: b"", "no complete parquet file"),
    "structs": ("parquet", lambda: parquet(user=pl.struct("user")), "column 'user' is of type Struct"),
    "lists": ("parquet", lambda: parquet(price=pl.concat_list("price")), "column 'price' is of type List"),
    "dates": ("parquet", lambda: parquet(price=pl.lit(0).cast(pl.Date)), "column 'price' is of type Date"),
    "no numbers": ("parquet", lambda: parquet(price=float("inf") * pl.col("user")), "price is "),
    "bytes": ("parquet", lambda: parquet(user=pl.lit(b"\xff")), "row 1: user is b'\\xff', expected UTF-8"),
    "times of another kind": ("parquet", lambda: parquet(when=pl.lit(5)), "the times in 'when' are numbers"),
}  # fmt: skip


def told(capsys, folder, *flags):
    """What a mistake's line tells, which must be the last and be from no traceback."""
    flags = ["predict", f"--workdir={folder / 'run'}", *map(str, flags)]
    code = program.run(predict.main, predict.FLAGS, flags)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    return err.splitlines()[-1]


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_source_is_one_line_and_leaves_the_output_as_it_was(
    case, folder, tmp_path, capsys
):
    ending, make, expected = MALFORMED[case]
    source, output = tmp_path / f"new.{ending}", tmp_path / "scores.csv"
    source.write_bytes(make())
    output.write_text("before")
    line = told(capsys, folder, f"--source={source}", f"--output={output}")
    assert str(source) in line or "'when' are numbers" in line
    assert expected in line
    assert output.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {source.name, output.name}


def test_unusual_but_right_files_are_read(folder, tmp_path):
    for bytes_ in (
        b"\xef\xbb\xbf" + new().write_csv().encode(),
        new().write_csv().encode().replace(b"\n", b"\r\n"),
        replace(b"\nr77,", b"\n" + b"r" * 10**7 + b","),
        gzip.compress(new().write_csv().encode()),
    ):
        (tmp_path / "new.csv").write_bytes(bytes_)
        flags = [f"--source={tmp_path / 'new.csv'}", f"--output={tmp_path / 'out.csv'}"]
        program.parse(predict.FLAGS, ["predict", f"--workdir={folder}/run", *flags])
        assert predict.main()["rows"] == 100


def loop(path):
    path.symlink_to(path)


NO_OUTPUT = {
    "Is a directory": pathlib.Path.mkdir,
    "is a file; expected a folder": lambda path: path.parent.write_text(""),
    "Too many levels of symbolic links": loop,
    "No space left on device": lambda path: path.symlink_to("/dev/full"),
}


@pytest.mark.parametrize("expected", NO_OUTPUT)
def test_an_output_that_cannot_be_written_is_one_line(
    expected, folder, tmp_path, capsys
):
    output = tmp_path / "below" / "scores.csv"
    if expected != "is a file; expected a folder":
        output.parent.mkdir()
    NO_OUTPUT[expected](output)
    line = told(capsys, folder, f"--source={folder}/day1.csv", f"--output={output}")
    assert expected in line
    assert "below" in line


def test_an_output_that_would_keep_a_part_of_the_source_is_refused(
    folder, tmp_path, capsys
):
    source = tmp_path / "day1.csv"
    source.write_bytes((folder / "day1.csv").read_bytes())
    (tmp_path / "link").symlink_to(source)
    flags = (f"--source={source}", f"--output={tmp_path / 'link'}", "--id=user")
    assert "is the source itself" in told(capsys, folder, *flags)
    assert source.read_bytes() == (folder / "day1.csv").read_bytes()


def test_flags_that_do_not_fit_the_source_are_one_line(folder, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    loop(tmp_path / "loop")
    output = f"--output={tmp_path / 'scores.csv'}"
    for flag, expected in {
        f"--source={tmp_path / 'none.csv'}": "there is no such file",
        f"--source={tmp_path}": "there is no such file",
        f"--source={tmp_path / 'pipe'}": "there is no such file",
        f"--source={tmp_path / 'loop'}": "there is no such file",
        "--id=nobody": "line 1 has no column 'nobody'",
        "--delimiter=;;": "--delimiter=';;', expected",
        "--encoding=klingon": "--encoding=klingon is no encoding",
        "--format=libfm": "line 1: no features",
        "--format=parquet": "no complete parquet file",
        "--step=99": "No checkpoint of step 99",
        f"--workdir={tmp_path}": "No run in",
    }.items():
        source = f"--source={folder}/day1.csv"
        assert expected in told(capsys, folder, source, output, flag)
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "loop"}


def test_a_mistake_in_stdin_is_told_of_stdin(folder, capsys, monkeypatch):
    flags = ["--source=-", "--output=-"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(cell("price", "x"))))
    assert told(capsys, folder, *flags).startswith("stdin line 79: price is 'x'")
    monkeypatch.setattr(sys, "stdin", None)
    assert "stdin is closed" in told(capsys, folder, *flags)


def test_a_killed_process_leaves_no_half_file(folder, tmp_path):
    source, output = tmp_path / "new.csv", tmp_path / "scores.csv"
    names, _, lines = new().write_csv().partition("\n")
    source.write_text(names + "\n" + lines * 5_000)
    output.write_text("before")
    command = [sys.executable, "-m", "experiments.predict", f"--source={source}"]
    process = subprocess.Popen(
        [*command, f"--workdir={folder / 'run'}", f"--output={output}"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not any(path.stat().st_size for path in unfinished(tmp_path)):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert unfinished(tmp_path)
    assert output.read_text() == "before"
    # What is left of it does not hinder the next.
    shutil.copyfile(folder / "day1.csv", source)
    flags = [f"--source={source}", f"--output={output}"]
    program.parse(predict.FLAGS, ["predict", f"--workdir={folder}/run", *flags])
    assert predict.main()["rows"] == 300
    assert not unfinished(tmp_path)


def unfinished(folder):
    return [*folder.glob(".*.incomplete")]
