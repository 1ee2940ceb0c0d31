"""New rows of a file to predictions, by the program."""

import functools
import gzip
import json
import shutil
import subprocess
import sys

import numpy as np
import optax
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data.formats import text
from afm_jax.data.preparation import builder, raw_builder
from afm_jax.data.store.reader import open_store
from afm_jax.data.synthetic import write_criteo_tsv
from afm_jax.errors import InputError
from afm_jax.training import evaluation
from afm_jax.training.run.folder import Run
from data.criteo import criteo_dataset_builder, criteo_reader
from experiments import predict
from experiments.cli import program

OPTIONS = {
    "label": "click",
    "categorical": ("user", "item"),
    "numeric": ("price",),
    "multi_valued": ("tags",),
    "time": "when",
    "time_fields": ("hour",),
}


def table(seed, rows):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "row": [f"r{row}" for row in range(rows)],
            "click": rng.integers(0, 2, rows),
            "user": rng.integers(0, 30 + seed, rows),
            "item": [f'i,"{x}"' for x in rng.integers(0, 9, rows)],
            "price": [None if x < -1 else x for x in rng.normal(size=rows).round(3)],
            "tags": rng.choice(["", "a", "b|a", "c"], rows).tolist(),
            "when": [f"2024-03-01 {x:02d}:30:00" for x in rng.integers(0, 24, rows)],
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predict")
    table(0, 900).write_csv(folder / "day1.csv")
    builder.build(
        raw_builder.CsvBuilder,
        data_dir=folder / "data",
        source=folder / "day1.csv",
        options=OPTIONS,
    )
    store = open_store(folder / "data", "csv")
    model = models.make("fm", schema=store.schema, init_stddev=0.3)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    return afm_jax.fit(task, store, epochs=1, folder=folder / "run")


def run(trained, source, output, *flags):
    arguments = [f"--workdir={trained.folder}", f"--source={source}"]
    program.parse(predict.FLAGS, ["predict", *arguments, f"--output={output}", *flags])
    return predict.main()


@functools.cache
def new_rows():
    return table(5, 333)


def write(path, frame):
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        frame.write_csv(path)
    return path


@pytest.mark.parametrize("suffix", ["", ".0"])
def test_a_column_that_is_written_in_another_way_is_told(
    suffix, trained, tmp_path, caplog
):
    """As pandas writes whole numbers beside missing ones: 5.0."""
    items = pl.concat_str("item", pl.lit(suffix))
    source = write(tmp_path / "new.csv", new_rows().with_columns(item=items))
    run(trained, source, tmp_path / "out.csv")
    assert ("No value of item is one that training had" in caplog.text) == bool(suffix)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_rows_come_out_in_their_order_beside_their_predictions(
    ending, output, trained, tmp_path, monkeypatch
):
    monkeypatch.setitem(text.chunks.__kwdefaults__, "chunk_bytes", 2_000)
    source = write(tmp_path / f"new.{ending}", new_rows())
    result = run(trained, source, tmp_path / output)
    read = pl.read_csv if output.endswith("csv") else pl.read_parquet
    found = read(tmp_path / output)
    assert found.columns == [*new_rows().columns, "probability", "logit"]
    for name in "row", "item", "when":
        assert found[name].to_list() == new_rows()[name].to_list()
    expected = trained.predict(new_rows())
    np.testing.assert_allclose(found["probability"], expected, atol=1e-6)
    logits = found["logit"].to_numpy().astype(np.float32)
    labels = new_rows()["click"].to_numpy().astype(np.float32)
    assert result["rows"] == 333
    assert result["metrics"] == pytest.approx(evaluation.metrics_of(logits, labels))
    unseen = np.mean(new_rows()["user"].to_numpy() >= 30)
    assert result["unseen"]["user"] == pytest.approx(unseen, abs=1e-5)
    items = new_rows()["tags"].str.split("|").list.len().sum()
    missing = (new_rows()["tags"] == "").sum() / items
    price = new_rows()["price"].null_count() / 333
    assert result["missing"] == {
        "tags": pytest.approx(missing, abs=1e-5),
        "price": pytest.approx(price, abs=1e-5),
    }


def test_rows_without_labels_have_no_metrics_and_the_same_predictions(
    trained, tmp_path
):
    source = write(tmp_path / "new.csv", new_rows().drop("click"))
    result = run(trained, source, tmp_path / "out.csv", "--id=row")
    assert result["metrics"] is None
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.columns == ["row", "probability", "logit"]
    expected = trained.predict(new_rows())
    np.testing.assert_allclose(found["probability"], expected, atol=1e-6)


def test_the_rows_of_the_store_get_the_logits_of_the_run(trained, tmp_path):
    store = open_store(trained.folder.parent / "data", "csv")
    day1 = write(tmp_path / "day1.csv", table(0, 900))
    run(trained, day1, tmp_path / "out.parquet", "--id=row")
    found = pl.read_parquet(tmp_path / "out.parquet")["logit"].to_numpy()
    for split in "validation", "test":
        rows = store.splits[split]
        logits = Run(trained.folder).read_logits(split, len(rows.labels))
        np.testing.assert_allclose(found[rows.numbers], logits, atol=1e-6)


WRONG = {
    "has no column 'user'": lambda frame: frame.drop("user"),
    "line 4: price": lambda frame: frame.with_columns(
        price=pl.Series(["1", "2", "cheap", *["4"] * 330])
    ),
    "line 3: click": lambda frame: frame.with_columns(
        click=pl.Series([1, 7, *[0] * 331])
    ),
    "has a column 'logit'": lambda frame: frame.with_columns(logit=pl.lit(1)),
    "line 2": lambda frame: frame.with_columns(when=pl.lit("2024-02-31 00:00:00")),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_source_that_cannot_be_read_leaves_no_output(message, trained, tmp_path):
    source = write(tmp_path / "new.csv", WRONG[message](new_rows()))
    output = tmp_path / "out.csv"
    output.write_text("before")
    with pytest.raises(InputError) as found:
        run(trained, source, output)
    assert message in str(found.value)
    assert "\n" not in str(found.value)
    assert output.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"new.csv", "out.csv"}


def test_a_label_that_is_none_for_the_loss_leaves_no_output(trained, tmp_path):
    half = new_rows().with_columns(click=pl.Series([1.0] * 332 + [0.5]))
    source = write(tmp_path / "new.csv", half)
    with pytest.raises(InputError, match=r"Row 332 .* has the label 0\.5"):
        run(trained, source, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize(
    ("flag", "kept"),
    [("row,row", ["row"]), ("", []), ("row,*", new_rows().columns)],
)
def test_each_column_is_kept_once(flag, kept, trained, tmp_path):
    source = write(tmp_path / "new.csv", new_rows())
    run(trained, source, tmp_path / "out.csv", f"--id={flag}")
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.columns == [*kept, "probability", "logit"]
    assert found.height == 333


def test_a_row_alone_needs_no_line_end(trained, tmp_path):
    (tmp_path / "new.csv").write_text(new_rows()[:1].write_csv().rstrip())
    result = run(trained, tmp_path / "new.csv", tmp_path / "out.csv")
    assert result["rows"] == 1


def test_the_output_may_take_the_place_of_the_source(trained, tmp_path):
    source = write(tmp_path / "new.csv", new_rows())
    run(trained, source, source)
    assert pl.read_csv(source).columns[-1] == "logit"


def test_advice_for_data_prepare_is_told_to_be_that(trained, tmp_path):
    source = write(tmp_path / "new.csv", new_rows().with_columns(click=pl.lit("maybe")))
    with pytest.raises(
        InputError, match=r"--positive.* That is a flag of data\.prepare"
    ):
        run(trained, source, tmp_path / "out.csv")
    write(tmp_path / "new.parquet", new_rows()).rename(source)
    with pytest.raises(InputError, match=r"use --format=parquet\.$"):
        run(trained, source, tmp_path / "out.csv")


def test_types_that_csv_cannot_hold_are_told(trained, tmp_path):
    more = new_rows().with_columns(pl.lit(b"\xff").alias("bytes"))
    source = write(tmp_path / "new.parquet", more)
    with pytest.raises(InputError, match="'bytes' is of type Binary, which CSV cannot"):
        run(trained, source, tmp_path / "out.csv")


def test_files_that_are_not_there_are_told(trained, tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        run(trained, tmp_path / "none.csv", tmp_path / "out.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="empty"):
        run(trained, tmp_path / "empty.csv", tmp_path / "out.csv")
    (tmp_path / "header.csv").write_text("click,user,item,price,tags,when\n")
    with pytest.raises(InputError, match="holds no rows"):
        run(trained, tmp_path / "header.csv", tmp_path / "out.csv")


def test_a_source_may_be_written_in_another_way_than_the_training_data(
    trained, tmp_path
):
    new_rows().write_csv(tmp_path / "new.csv", separator=";")
    output = tmp_path / "made" / "out.csv"
    with pytest.raises(InputError, match=r"separated by ';': give --delimiter=';'"):
        run(trained, tmp_path / "new.csv", output)
    assert not output.parent.exists()
    run(trained, tmp_path / "new.csv", output, "--delimiter=;")
    expected = trained.predict(new_rows())
    found = pl.read_csv(output)["probability"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_how_text_is_written_has_no_meaning_for_parquet(trained, tmp_path):
    source = write(tmp_path / "new.parquet", new_rows())
    with pytest.raises(InputError, match=r"--delimiter has no meaning for .* parquet"):
        run(trained, source, tmp_path / "out.csv", "--delimiter=;")


def test_lists_are_for_parquet(trained, tmp_path):
    listed = new_rows().with_columns(tags=pl.col("tags").str.split("|"))
    source = write(tmp_path / "new.parquet", listed)
    with pytest.raises(
        InputError, match=r"'tags' is of type List.*which CSV cannot hold"
    ):
        run(trained, source, tmp_path / "out.csv")
    run(trained, source, tmp_path / "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found["tags"].to_list() == listed["tags"].to_list()


@pytest.fixture(scope="module")
def of_criteo(tmp_path_factory):
    """A run on Criteo's own file, which is beside it."""
    folder = tmp_path_factory.mktemp("criteo")
    write_criteo_tsv(folder / "train.txt", 600)
    builder.build(
        criteo_dataset_builder.Builder,
        data_dir=folder / "data",
        source=folder / "train.txt",
    )
    store = open_store(folder / "data", "criteo")
    model = models.make("lr", schema=store.schema)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    return afm_jax.fit(task, store, epochs=1, folder=folder / "run")


def test_a_source_is_read_as_the_rows_of_the_run_were(of_criteo, tmp_path):
    train = of_criteo.folder.parent / "train.txt"
    result = run(of_criteo, train, tmp_path / "out.csv", "--id=C1")
    assert result["metrics"]["rows"] == result["rows"] == 600
    assert pl.read_csv(tmp_path / "out.csv").columns == ["C1", "probability", "logit"]
    lines = [line.split("\t", 1)[1] for line in train.read_text().splitlines()]
    (tmp_path / "test.txt").write_text("\n".join(lines) + "\n")
    result = run(of_criteo, tmp_path / "test.txt", tmp_path / "new.csv", "--id=C1")
    assert result["metrics"] is None
    assert (tmp_path / "new.csv").read_text() == (tmp_path / "out.csv").read_text()


def test_another_format_than_that_of_the_run_is_named(of_criteo, tmp_path):
    train, names = of_criteo.folder.parent / "train.txt", criteo_reader
    header = ",".join(["label", *names.NUMBERS, *names.CATEGORIES])
    (tmp_path / "new.csv").write_text(
        f"{header}\n{train.read_text().replace(chr(9), ',')}"
    )
    told = r"1 column, expected 40 .* read as criteo, .* --format names another"
    with pytest.raises(InputError, match=told):
        run(of_criteo, tmp_path / "new.csv", tmp_path / "out.csv")
    run(of_criteo, tmp_path / "new.csv", tmp_path / "csv.csv", "--format=csv", "--id=")
    run(of_criteo, train, tmp_path / "own.csv", "--id=")
    assert (tmp_path / "csv.csv").read_text() == (tmp_path / "own.csv").read_text()
    with pytest.raises(InputError, match=r"--delimiter has no meaning for .* criteo"):
        run(of_criteo, train, tmp_path / "out.csv", "--delimiter=;")


def test_a_pipe_takes_rows_and_gives_predictions(trained):
    command = [sys.executable, "-m", "experiments.predict", "--source=-", "--output=-"]
    ran = subprocess.run(
        [*command, f"--workdir={trained.folder}", "--id=row"],
        input=new_rows().write_csv(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = pl.read_csv(ran.stdout.encode())
    expected = trained.predict(new_rows())
    np.testing.assert_allclose(found["probability"], expected, atol=1e-6)
    assert json.loads(ran.stderr.splitlines()[-1])["rows"] == 333


def test_what_is_no_probability_is_not_called_one(trained, tmp_path):
    store = open_store(trained.folder.parent / "data", "csv")
    model = models.make("lr", schema=store.schema)
    task = training.Task(model, loss="squared_error", optimizer=optax.sgd(0.1))
    fitted = afm_jax.fit(task, store, epochs=1, monitor="rmse", folder=tmp_path / "run")
    source = write(tmp_path / "new.csv", new_rows())
    run(fitted, source, tmp_path / "out.csv", "--id=row")
    found = pl.read_csv(tmp_path / "out.csv")
    assert found.columns == ["row", "prediction", "logit"]
    np.testing.assert_allclose(
        found["prediction"], fitted.predict(new_rows()), atol=1e-6
    )


@pytest.mark.parametrize("na_values", [(), ("--na_values=NA",)])
def test_columns_that_are_kept_are_the_text_that_stands_in_the_file(
    na_values, trained, tmp_path
):
    words = ["NaN", "nan", "NA", "null", "1.50", "", 'a "b", c', " x "]
    rows = new_rows()[: len(words)].with_columns(note=pl.Series(words))
    more = rows.with_columns(item=pl.Series(words), tags=pl.Series(words))
    source = write(tmp_path / "new.csv", more)
    run(trained, source, tmp_path / "out.csv", *na_values)
    header, *lines = (tmp_path / "out.csv").read_text().splitlines()
    stands = source.read_text().splitlines()
    assert header == stands[0] + ",probability,logit"
    for line, before in zip(lines, stands[1:], strict=True):
        assert line.startswith(before + ",")
    if na_values:
        none = pl.Series(words).replace("NA", "")
        more = more.with_columns(item=none, tags=none)
    found = pl.read_csv(tmp_path / "out.csv")["probability"]
    np.testing.assert_allclose(found, trained.predict(more), atol=1e-6)


def test_a_run_that_does_not_tell_its_format_asks_for_it(of_criteo, tmp_path):
    shutil.copytree(of_criteo.folder, tmp_path / "run")
    path = tmp_path / "run" / "schema.json"
    schema = json.loads(path.read_text())
    del schema["options"]["dataset"]
    path.write_text(json.dumps(schema))
    older = afm_jax.load(tmp_path / "run")
    train = of_criteo.folder.parent / "train.txt"
    with pytest.raises(InputError, match="does not tell its format; --format names"):
        run(older, train, tmp_path / "out.csv")
    run(older, train, tmp_path / "out.csv", "--format=criteo", "--id=")
    run(of_criteo, train, tmp_path / "own.csv", "--id=")
    assert (tmp_path / "out.csv").read_text() == (tmp_path / "own.csv").read_text()
