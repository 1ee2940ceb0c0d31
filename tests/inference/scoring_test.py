"""Rows of every format that data.prepare reads get the logits of their store."""

import importlib

import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

import polars as pl
import samples

from afm_jax import models
from afm_jax.data import synthetic
from afm_jax.data.preparation import builder
from afm_jax.data.store.reader import open_store
from afm_jax.errors import InputError
from afm_jax.inference import Predictor, restoring, scoring
from afm_jax.ops import losses
from data import catalogue
from data.avazu import avazu_reader

ROWS = 60


def write_criteo(path):
    synthetic.write_criteo_tsv(path, ROWS)
    return [line.split("\t", 1)[1] for line in path.read_text().splitlines()]


def write_avazu(path):
    rng = np.random.default_rng(0)
    names = ["id", "click", "hour", *avazu_reader.CATEGORIES]
    hours = 14102100 + rng.integers(0, 24, ROWS)
    rows = np.column_stack(
        [
            np.arange(ROWS),
            rng.integers(0, 2, ROWS),
            hours,
            rng.integers(0, 4, (ROWS, 21)),
        ]
    )
    lines = [",".join(map(str, row)) for row in (names, *rows.tolist())]
    path.write_text("\n".join(lines) + "\n")
    cells = [line.split(",") for line in lines]
    return [",".join([row[0], *row[2:]]) for row in cells]


def write_movielens(path):
    rng = np.random.default_rng(0)
    users = [f"{user}|{20 + user}|{'MF'[user % 2]}|job|{user}1" for user in range(9)]
    films = [f"{film}|T|01-Jan-199{film}|||{film % 2}|1" for film in range(9)]
    tables = {"u.user": users, "u.item": films, "u.genre": ["unknown|0", "Action|1"]}
    for name, lines in tables.items():
        (path.parent / name).write_text("\n".join(lines) + "\n")
    cells = [
        [*map(str, (*rng.integers(0, 9, 2), rng.integers(1, 6), row))]
        for row in range(ROWS)
    ]
    path.write_text("\n".join("\t".join(row) for row in cells) + "\n")
    return ["\t".join([*row[:2], row[3]]) for row in cells]


def write_features(path, token, most=1):
    """Rows of a label and two features, some with more."""
    rng = np.random.default_rng(0)
    rows = []
    for row in range(ROWS):
        more = [token(1, 4 + row % 3, 1.0)] * int(rng.integers(0, most))
        rows.append(
            [
                token(0, rng.integers(0, 4), 1.0),
                token(1, rng.integers(7, 9), 0.5),
                *more,
            ]
        )
    lines = [" ".join([str(row % 2), *each]) for row, each in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return [" ".join(each) for each in rows]


def by_position(path):
    return write_features(path, lambda field, number, value: f"{number}:{value}")


def by_range(path):
    return write_features(path, lambda field, number, value: f"{number}:{value}", 2)


def by_field(most):
    def write(path):
        return write_features(path, lambda *token: ":".join(map(str, token)), most)

    return write


CASES = {
    "criteo": ("criteo", "train.txt", write_criteo, {"min_count": 2}),
    "avazu": ("avazu", "train.csv", write_avazu, {}),
    "movielens_100k": ("movielens_100k", "u.data", write_movielens, {}),
    "libfm by position": ("libfm", "r.libfm", by_position, {}),
    "libfm by range": ("libfm", "r.libfm", by_range, {"field_sizes": [4, 5]}),
    "libffm with one feature a field": ("libffm", "r.libffm", by_field(1), {}),
    "libffm": ("libffm", "r.libffm", by_field(2), {}),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """The format, a file of it, its lines without labels, the store, and a predictor."""
    format, name, write, options = CASES[request.param]
    folder = tmp_path_factory.mktemp("rows")
    raw = folder / "raw"
    raw.mkdir()
    unlabelled = write(raw / name)
    module, _, attribute = catalogue.DATASETS[format].builder.rpartition(".")
    builder.build(
        getattr(importlib.import_module(module), attribute),
        data_dir=folder,
        source=raw if format == "movielens_100k" else raw / name,
        options=options,
    )
    store = open_store(folder, format)
    model = models.make("fm", schema=store.schema)
    features = restoring.example_features(store.schema)
    variables = samples.random_variables(model, features, stddev=0.1)
    loss = losses.make("sigmoid_cross_entropy")
    predictor = Predictor(store.schema, store.vocabularies, model, variables, loss)
    return format, raw / name, unlabelled, store, predictor


def scored(predictor, path, format, kept=("*",)):
    found = scoring.score(predictor, path, catalogue.reader(format), kept=kept)
    frame = pl.concat(list(found.frames))
    return frame, found.scores.result()


def test_a_file_of_the_format_has_the_logits_of_the_rows_of_its_store(case):
    format, path, _, store, predictor = case
    assert store.schema.options["dataset"] == format
    frame, result = scored(predictor, path, format)
    logits, labels = frame["logit"].to_numpy(), np.zeros(ROWS)
    for rows in store.splits.values():
        expected = predictor.logits(rows)
        np.testing.assert_allclose(logits[rows.numbers], expected, atol=1e-6)
        labels[rows.numbers] = rows.labels
    assert result["rows"] == result["metrics"]["rows"] == ROWS
    assert np.ptp(logits) > 0


def test_rows_without_labels_have_the_same_logits_and_no_metrics(case, tmp_path):
    format, path, unlabelled, _, predictor = case
    new = tmp_path / path.name
    new.write_text("\n".join(unlabelled) + "\n")
    for name in "u.user", "u.item", "u.genre":
        if (path.parent / name).exists():
            (tmp_path / name).write_bytes((path.parent / name).read_bytes())
    expected, _ = scored(predictor, path, format)
    found, result = scored(predictor, new, format)
    assert result["metrics"] is None
    assert found["logit"].to_list() == expected["logit"].to_list()
    names = [name for name in expected.columns if name not in LABELS]
    assert found.columns == names
    assert found.select(names).equals(expected.select(names))


LABELS = {"label", "click", "rating"}


def test_fields_by_number_are_those_of_the_run(case, tmp_path):
    """Of new rows some fields may be missing, and others are left out."""
    format, path, _, _, predictor = case
    if format != "libffm":
        return
    lines = path.read_text().splitlines()
    new = tmp_path / "new.libffm"
    new.write_text("\n".join(" ".join([*line.split()[:2], "9:1:1"]) for line in lines))
    found, result = scored(predictor, new, format)
    first = [" ".join(line.split()[:2]) for line in lines]
    (tmp_path / "first.libffm").write_text("\n".join(first) + "\n")
    expected, _ = scored(predictor, tmp_path / "first.libffm", format)
    assert found["logit"].to_list() == expected["logit"].to_list()
    assert result["missing"] == {"field_1": 1.0}


def test_columns_with_names_are_kept_as_they_stand(case):
    format, path, _, _, predictor = case
    frame, _ = scored(predictor, path, format)
    kept = frame.columns[: -len(("probability", "logit"))]
    if format.startswith("lib"):
        assert kept == []
        with pytest.raises(InputError, match="have no names to keep"):
            scored(predictor, path, format, ("a",))
        return
    sign = "," if format == "avazu" else "\t"
    lines = path.read_text().splitlines()
    header = lines.pop(0).split(sign) if format == "avazu" else kept
    assert kept == header
    rows = [["" if cell is None else cell for cell in row[:-2]] for row in frame.rows()]
    assert rows == [line.split(sign) for line in lines]
    some, _ = scored(predictor, path, format, (kept[2],))
    assert some.columns == [kept[2], "probability", "logit"]
    with pytest.raises(InputError, match="has no column 'none'"):
        scored(predictor, path, format, ("none",))


def test_a_first_row_of_another_width_is_one_line(case):
    format, path, unlabelled, _, predictor = case
    if format not in ("criteo", "movielens_100k"):
        return  # Names or tokens tell the columns.
    new = path.with_name("narrow")
    new.write_text(unlabelled[0].rsplit("\t", 1)[0] + "\n")
    with pytest.raises(
        InputError, match=r"narrow line 1: \d+ columns, expected \d+ \("
    ):
        scored(predictor, new, format)
