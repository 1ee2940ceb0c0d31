"""Exported folders predict what the trained model does, without afm_jax."""

import datetime
import functools
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import exported_folders
import jax
import numpy as np
import optax
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

import afm_jax
from afm_jax import models, training
from afm_jax.data import prepare_frames
from afm_jax.data.formats import column_types
from afm_jax.errors import InputError
from afm_jax.inference import export as exporting
from afm_jax.inference import restoring
from afm_jax.inference.export import export as export_to
from afm_jax.inference.exported import predictor_rows
from afm_jax.inference.predictor import Predictor
from afm_jax.ops import losses
from afm_jax.training import state
from experiments import export
from experiments.cli import program

STORED = pathlib.Path(__file__).parents[1] / "stored"
WORDS = ["a", "bb", "", "é\0x", "nan", "7", "7.5", "x" * 300, "it's", "0.1"]


def table(seed, rows):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "click": rng.integers(0, 2, rows),
            "word": rng.choice(WORDS, rows).tolist(),
            "user": rng.integers(0, 30, rows),
            "share": rng.choice([0.5, 1.0, 0.1, 1e-5, 2.5e-7, None], rows).tolist(),
            "flag": rng.choice([True, False, None], rows).tolist(),
            "hashed": [f"h{x}" for x in rng.integers(0, 99, rows)],
            "tags": rng.choice(["", "a", "a|b", "c|a|b", "d"], rows).tolist(),
            "log": [None if x < 2 else x for x in rng.integers(0, 900, rows).tolist()],
            "quantile": rng.normal(size=rows),
            "price": [None if x < -1 else x for x in rng.normal(size=rows).tolist()],
            "ratio": rng.normal(size=rows),
        },
        schema_overrides={"share": pl.Float64, "flag": pl.Boolean},
    )


@functools.cache
def store():
    return prepare_frames(
        {"train": table(0, 900), "validation": table(1, 200)},
        label="click",
        categorical=["word", "user", "share", "flag", "hashed"],
        multi_valued={"tags": "|"},
        numeric=["log", "quantile", "price", "ratio"],
        numeric_as={
            "log": "bucket_log2",
            "quantile": "bucket_quantile",
            "ratio": "min_max",
        },
        hash_buckets={"hashed": 20},
        na_values=["7", "h3", "d"],
        min_count=2,
    )


OPTIONS = {
    "lr": {},
    "fm": {"embedding_dim": 4, "init_stddev": 0.3},
    "afm": {"embedding_dim": 4, "attention_dim": 3, "init_stddev": 0.3},
}


@functools.cache
def trained(name, **changed):
    return random_predictor(store(), name, **changed)


def random_predictor(data, name, **changed):
    """A predictor whose parameters are random, as if it had learned much."""
    schema = data.schema
    model = models.make(name, schema=schema, **OPTIONS.get(name, {}), **changed)
    features = restoring.example_features(schema)
    variables = dict(model.init(jax.random.key(0), features))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape), variables)
    variables = jax.tree.map(np.float32, variables)
    variables |= state.variables_of({}, {}, np.float32(-0.7)) | {
        "params": variables["params"]
    }
    return Predictor(
        schema,
        data.vocabularies,
        model,
        variables,
        losses.make("sigmoid_cross_entropy"),
    )


def new_rows():
    """Rows of every kind of value, in part never met."""
    strange = {
        "word": ["never", None, "NaN", "a", "é\0x"],
        "user": [3, None, 10**12, 7, 29],
        "share": [0.1, float("nan"), 1.0, 1e-5, 7.25e-9],
        "flag": [True, None, False, True, False],
        "hashed": ["h3", None, "", "new", "h98"],
        "tags": ["a|b", "", "x|y", "d|a|b|c|a", None],
        "log": [1e9, None, 3, 0, -5],
        "quantile": [-99.0, None, 0.0, float("nan"), 1.0],
        "price": [1e9, None, -1e9, 0.5, 0.0],
        "ratio": [0.0, 9.0, -9.0, None, 1.0],
    }
    frame = pl.DataFrame(strange, strict=False)
    return pl.concat([table(2, 60).drop("click"), frame], how="vertical_relaxed")


@pytest.fixture
def opened(monkeypatch):
    """Opens an exported folder with its own reader, as a program beside it would."""

    return functools.partial(exported_folders.open_folder, monkeypatch)


CASES = [
    *(("jax", name, {}) for name in OPTIONS),
    *(("numpy", name, {}) for name in OPTIONS),
    ("numpy", "afm", {"first_order_inputs": "dense_tower", "pooling": "sum"}),
    ("numpy", "afm", {"attention_weights": "frozen"}),
    ("numpy", "afm", {"attention_weights": "uniform"}),
]


@pytest.mark.parametrize(("format", "name", "changed"), CASES)
def test_an_exported_folder_predicts_what_the_model_does(
    format, name, changed, tmp_path, opened
):
    model, frame = trained(name, **changed), new_rows()
    export_to(model, tmp_path / "out", format=format)
    reader = opened(tmp_path / "out")
    expected = model.predict(frame)
    columns = frame.to_dict(as_series=False)
    np.testing.assert_allclose(reader.predict(columns), expected, atol=1e-6)
    if (format, name) == ("jax", "fm"):
        rows = frame.to_dicts()
        np.testing.assert_array_equal(reader.predict(rows), reader.predict(columns))
        np.testing.assert_allclose(
            [reader.predict(row) for row in rows[-9:]], expected[-9:], atol=1e-6
        )
        many = {key: values * 40 for key, values in columns.items()}
        found = reader.predict(many)
        np.testing.assert_allclose(found, np.tile(expected, 40), atol=1e-6)


ALONE = """
    import json, sys

    sys.modules["afm_jax"] = None  # importing it raises
    sys.path.insert(0, "out")
    from predictor import Predictor

    rows = json.load(open("rows.json"))
    print(json.dumps(Predictor("out").predict(rows).tolist()))
"""


@pytest.mark.parametrize("format", ["jax", "numpy"])
def test_a_fresh_process_without_afm_jax_predicts_the_same(format, tmp_path):
    model, rows = trained("afm"), new_rows()[:50].to_dicts()
    export_to(model, tmp_path / "out", format=format)
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    code = textwrap.dedent(ALONE)
    if format == "numpy":
        code = code.replace(
            '["afm_jax"] = None', '["afm_jax"] = sys.modules["jax"] = None'
        )
    environment = {"PATH": os.environ["PATH"], "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = model.predict(new_rows()[:50])
    np.testing.assert_allclose(json.loads(ran.stdout), expected, atol=1e-6)


TIMES = {
    None: [
        "2024-03-05",
        "2024-03-05T07:30",
        " 2024-03-05 07:30:01.5 ",
        "2024-03-05T23:30:01+05:30",
        "2024-03-05T07:30Z",
        "2024-12-29t00:00 UTC",
    ],
    "s": [0, -1, 1_700_000_000, 253_402_300_799],
    "ns": [-5, 1_700_000_000 * 10**9, 2**62],
}


@pytest.mark.parametrize("unit", TIMES)
def test_fields_of_a_time_are_made_of_the_time(unit, tmp_path, opened):
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 2 * 10**9, 400)
    dates = seconds.astype("datetime64[s]").astype(str)
    times = dates.tolist() if unit is None else seconds * {"s": 1, "ns": 10**9}[unit]
    made = prepare_frames(
        {"click": rng.integers(0, 2, 400), "user": rng.integers(0, 9, 400), "t": times},
        label="click",
        categorical=["user"],
        time="t",
        time_fields=["hour", "weekday", "month"],
        time_unit=unit,
        na_values=["7"],
    )
    model = random_predictor(made, "fm")
    export_to(model, tmp_path / "out", format="numpy")
    reader = opened(tmp_path / "out")
    assert reader.columns == ["user", "t"]
    columns = {"user": [3] * len(TIMES[unit]), "t": TIMES[unit]}
    found, expected = reader.predict(columns), model.predict(columns)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for wrong in (None, float("nan"), "soon", "2024-02-30", True, 1e300):
        with pytest.raises(ValueError, match=r"row 0 \(from 0\): t is .* a time, a"):
            reader.predict({"user": 3, "t": wrong})


def test_objects_of_dates_are_times(tmp_path, opened):
    zone = datetime.timezone(datetime.timedelta(hours=5))
    times = [
        datetime.date(2024, 3, 5),
        datetime.datetime(2024, 3, 5, 7, 30),
        datetime.datetime(2024, 3, 5, 23, 30, tzinfo=zone),
    ]
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, 2 * 10**9, 400).astype("datetime64[s]")
    made = prepare_frames(
        {
            "click": rng.integers(0, 2, 400),
            "user": rng.integers(0, 9, 400),
            "t": seconds,
        },
        label="click",
        categorical=["user"],
        time="t",
        time_fields=["hour"],
    )
    model = random_predictor(made, "fm")
    export_to(model, tmp_path / "out", format="numpy")
    reader = opened(tmp_path / "out")
    for time in times:
        expected = model.predict({"user": [3], "t": [time]})
        found = reader.predict({"user": 3, "t": time})
        np.testing.assert_allclose(found, expected[0], atol=1e-6)
    found = reader.predict({"user": [3], "t": np.array(["2024-03-05T07"], "M8[s]")})
    expected = model.predict({"user": [3], "t": [times[1]]})
    np.testing.assert_allclose(found, expected, atol=1e-6)


WRONG = {
    "row 0 (from 0): price is 'cheap', expected a finite number": {"price": "cheap"},
    "row 0 (from 0): ratio is inf, expected a finite number": {"ratio": float("inf")},
    "row 0 (from 0): word is {}, expected text": {"word": {}},
    "row 0 (from 0): tags is 5, expected a list": {"tags": 5},
    "row 0 (from 0): user is [1, 2], expected text": {"user": [1, 2]},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_told_in_one_line(message, tmp_path, opened):
    export_to(trained("fm"), tmp_path / "out")
    reader = opened(tmp_path / "out")
    row = new_rows().to_dicts()[0]
    with pytest.raises(ValueError, match="expected") as found:
        reader.predict([row | WRONG[message]])
    assert message in str(found.value)
    assert "\n" not in str(found.value)
    del row["price"]
    with pytest.raises(ValueError, match="column 'price' is not there"):
        reader.predict(row)
    with pytest.raises(ValueError, match="expected a row, a list of rows, or columns"):
        reader.predict(5)


def test_columns_may_be_series_and_values_may_be_of_numpy(tmp_path, opened):
    model, frame = trained("fm"), new_rows()
    export_to(model, tmp_path / "out", format="numpy")
    reader, expected = opened(tmp_path / "out"), model.predict(frame)
    found = reader.predict({name: frame[name] for name in frame.columns})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    row = frame.to_dicts()[0]
    scalars = row | {"user": np.int64(row["user"]), "ratio": np.float64(row["ratio"])}
    np.testing.assert_allclose(reader.predict(scalars), expected[0], atol=1e-6)


def test_values_of_one_hash_are_told_apart(monkeypatch, tmp_path, opened):
    monkeypatch.setattr(exporting, "hash64", lambda value: len(value) % 2)
    model, frame = trained("fm"), new_rows()
    export_to(model, tmp_path / "out")
    reader = opened(tmp_path / "out")
    rows = sys.modules["predictor_rows"]
    monkeypatch.setattr(rows, "hash64", lambda value: len(value) % 2)
    found = reader.predict(frame.to_dict(as_series=False))
    np.testing.assert_allclose(found, model.predict(frame), atol=1e-6)


def test_the_text_of_a_number_is_that_of_the_preparation():
    rng = np.random.default_rng(0)
    numbers = [
        *(rng.normal(size=300) * 10.0 ** rng.integers(-12, 19, 300)).tolist(),
        1e308,
        -1.7976931348623157e308,
        1.8e38,
        1.7e38,
        2.0**127,
        5e-324,
        1e-323,
        0.1,
        1e-5,
        9.9e-5,
        1e-4,
        1e15,
        1e16,
        1e17,
        123456789.125,
        2.0**60,
        -0.5,
    ]
    frame = pl.DataFrame({"x": numbers})
    told = frame.select(column_types.text(pl.col("x"), pl.Float64()))["x"].to_list()
    assert [predictor_rows.text(number) for number in numbers] == told


def test_what_cannot_be_exported_is_told(tmp_path):
    model = trained("deepfm", hidden_dims=(4,))
    with pytest.raises(InputError, match="There is no NumPy formula of deepfm"):
        export_to(model, tmp_path / "out", format="numpy")
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="is there already"):
        export_to(model, tmp_path / "out")


def test_a_folder_that_jax_cannot_read_is_told(tmp_path, opened):
    export_to(trained("lr"), tmp_path / "out")
    path = tmp_path / "out" / "model.stablehlo"
    path.write_bytes(path.read_bytes()[:100])
    exported_folders.seal(tmp_path / "out")
    with pytest.raises(RuntimeError, match=r"cannot be used by jax .* export") as found:
        opened(tmp_path / "out")
    assert "\n" not in str(found.value)
    exported_folders.seal(tmp_path / "out", platforms=["tpu"])
    with pytest.raises(RuntimeError, match="exported for tpu"):
        opened(tmp_path / "out")


def test_a_folder_that_an_older_jax_exported_is_read(opened):
    # An afm of random parameters, by `export_to(trained("afm"), ...)` of this file under
    # Python 3.11.7, jax 0.10.1 and afm_jax 0.2.0.
    folder = STORED / "exported_by_jax_0.10.1"
    expected = json.loads((folder / "expected.json").read_text())
    found = opened(folder).predict(expected["rows"])
    np.testing.assert_allclose(found, expected["predictions"], atol=1e-6)


def test_the_program_exports_a_run(tmp_path, opened):
    model = models.make("fm", schema=store().schema, embedding_dim=2)
    task = training.Task(model, optimizer=optax.sgd(0.1))
    fitted = afm_jax.fit(task, store(), epochs=1, folder=tmp_path / "run")
    arguments = [f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]
    program.parse(export.FLAGS, ["export", *arguments])
    result = export.main()
    assert "model.stablehlo" in result["files"]
    assert result["bytes"] > 1000
    frame = new_rows()
    found = opened(tmp_path / "out").predict(frame.to_dict(as_series=False))
    np.testing.assert_allclose(found, fitted.predict(frame), atol=1e-6)


def test_the_reader_is_short():
    folder = pathlib.Path(predictor_rows.__file__).parent
    assert len((folder / "predictor.py").read_text().splitlines()) <= 150
