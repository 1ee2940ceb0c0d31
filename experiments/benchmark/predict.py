"""Prediction: raw CSV rows a second and their memory, and one row with an exported folder."""

import json
import logging
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.benchmark import exported, processes, timing

COLUMNS = {39: (26, 13), 10: (7, 3)}
"""Categorical and numeric columns of the files, by their sum."""

_TRAINED_ROWS = 100_000
_WRITTEN_AT_ONCE = 50_000
_CALLS = 2_000

_log = logging.getLogger(__name__)


def run(
    *,
    model_names: Sequence[str],
    row_counts: Sequence[int] = (1_000_000, 4_000_000),
    windows: int = 3,
) -> list[dict[str, Any]]:
    """Predicts files with `experiments.predict`, and single rows with exported models.

    The files have labels, so that the metrics of all rows are measured at the end.

    Args:
        model_names: the models to export; FM predicts the files.
        row_counts: rows of the files of 39 columns; that of 10 has the least of them. In a
            temporary folder, where 4 million rows of 39 columns take 0.8 GB.
        windows: how often each file, and then each of 2,000 rows, is predicted in turn.

    Returns:
        For each file 'rows_per_second' as the program reports it, compilation included,
        and 'peak_rss_mb', the largest. For each exported model what `exported.run` gives.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = [(39, rows) for rows in row_counts] + [(10, min(row_counts))]
        for columns in sorted({columns for columns, _ in files}):
            _train(folder, columns, ["fm"] if columns == 10 else ["fm", *model_names])
        cases = _predict(folder, files, windows)
        exports = {model: folder / f"exported_{model}" for model in model_names}
        return cases + exported.run(exports, _rows(), windows=windows)


def _names(columns: int) -> tuple[list[str], list[str]]:
    categorical, numeric = COLUMNS[columns]
    return [f"C{i}" for i in range(categorical)], [f"I{i}" for i in range(numeric)]


def _write(path: pathlib.Path, rows: int, columns: int, *, seed: int) -> None:
    """A CSV of random rows with labels, each category one of 5,000 values."""
    rng = np.random.default_rng(seed)
    categorical, numeric = _names(columns)
    with path.open("w", encoding="utf-8") as file:
        print("label", *categorical, *numeric, sep=",", file=file)
        for start in range(0, rows, _WRITTEN_AT_ONCE):
            count = min(_WRITTEN_AT_ONCE, rows - start)
            labels = rng.integers(0, 2, (count, 1)).astype(str)
            values = rng.integers(0, 5_000, (count, len(categorical))).astype(str)
            numbers = rng.integers(0, 1_000, (count, len(numeric))).astype(str)
            values = np.char.add("v", values)
            table = np.concatenate([labels, values, numbers], axis=1)
            file.write("\n".join(map(",".join, table)) + "\n")


def _train(folder: pathlib.Path, columns: int, model_names: Sequence[str]) -> None:
    """Runs of the models on rows with so many columns; and their exported folders."""
    source = folder / f"train_{columns}.csv"
    _write(source, _TRAINED_ROWS, columns, seed=0)
    categorical, numeric = _names(columns)
    processes.run(
        "data.prepare",
        "--dataset=csv",
        f"--name=rows_{columns}",
        f"--source={source}",
        f"--data_dir={folder}/stores",
        "--label=label",
        f"--categorical={','.join(categorical)}",
        f"--numeric={','.join(numeric)}",
    )
    for model in dict.fromkeys(model_names):
        _log.info("Training %s on %d columns", model, columns)
        workdir = folder / f"{model}_{columns}"
        processes.run(
            "experiments.train",
            f"--model={model}",
            f"--dataset=rows_{columns}",
            f"--data_dir={folder}/stores",
            f"--workdir={workdir}",
            "--epochs=1",
        )
        if columns == 39:
            processes.run(
                "experiments.export",
                f"--workdir={workdir}",
                f"--output={folder}/exported_{model}",
            )


def _predict(
    folder: pathlib.Path, files: Sequence[tuple[int, int]], windows: int
) -> list[dict[str, Any]]:
    speeds: dict[tuple[int, int], list[float]] = {file: [] for file in files}
    peaks: dict[tuple[int, int], list[int]] = {file: [] for file in files}
    for columns, rows in files:
        _log.info("Writing %d rows of %d columns", rows, columns)
        path = folder / f"new_{columns}_{rows}.csv"
        _write(path, rows, columns, seed=1)
    for window in range(windows):
        for columns, rows in files:
            _log.info("Predicting %d rows, turn %d", rows, window + 1)
            done = processes.run(
                "experiments.predict",
                f"--workdir={folder}/fm_{columns}",
                f"--source={folder}/new_{columns}_{rows}.csv",
                f"--output={folder}/scores.parquet",
                "--id=C0",
            )
            speeds[columns, rows].append(json.loads(done.result)["rows_per_second"])
            peaks[columns, rows].append(done.peak_rss_mb or 0)
    return [
        {
            "model": "fm",
            "columns": columns,
            "rows": rows,
            "rows_per_second": timing.spread(speeds[columns, rows]),
            "peak_rss_mb": max(peaks[columns, rows]) or None,
        }
        for columns, rows in files
    ]


def _rows() -> list[dict[str, Any]]:
    """New rows of 39 columns, of which one value in six was never met."""
    rng = np.random.default_rng(2)
    categorical, numeric = _names(39)
    return [
        {name: f"v{value}" for name, value in zip(categorical, values, strict=True)}
        | dict(zip(numeric, numbers, strict=True))
        for values, numbers in zip(
            rng.integers(0, 6_000, (_CALLS, len(categorical))).tolist(),
            rng.integers(0, 1_000, (_CALLS, len(numeric))).tolist(),
            strict=True,
        )
    ]
