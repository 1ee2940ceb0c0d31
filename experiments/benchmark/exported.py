"""One row at a time with exported folders: by their own reader, and over HTTP."""

import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

CLIENTS = 16
"""Clients that ask the server at the same time, each again as soon as it is answered."""

_SERVE = pathlib.Path(__file__).parents[2] / "examples" / "serve.py"
_FIRST = 50
"""Calls that are not counted: the first ones compile."""


def run(
    folders: Mapping[str, pathlib.Path],
    rows: Sequence[Mapping[str, Any]],
    *,
    windows: int,
) -> list[dict[str, Any]]:
    """Predicts rows one by one, with each model in turn.

    Args:
        folders: exported, by the names of their models.
        rows: of raw values, each predicted once in each turn.
        windows: number of turns.

    Returns:
        For each model the milliseconds of a row in a warm process, look-up included. Of
        the reader: the median, 'exported_p50_ms', and 'exported_p99_ms', both medians over
        the turns, and 'exported_least_p50_ms', the least median of a turn. Of
        `examples/serve.py` with CLIENTS at the same time: 'served_p50_ms',
        'served_p99_ms' and 'served_per_second', in the same way.
    """
    with contextlib.ExitStack() as stack:
        works: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
        for model, folder in folders.items():
            predict = _reader(folder).predict
            port = stack.enter_context(_server(folder))
            works[model] = (
                lambda predict=predict: _one_by_one(predict, rows),
                lambda port=port: _served(port, rows),
            )
        read: dict[str, list[np.ndarray]] = {model: [] for model in folders}
        served: dict[str, list[np.ndarray]] = {model: [] for model in folders}
        speeds: dict[str, list[float]] = {model: [] for model in folders}
        for _ in range(windows):
            for model, (own, over_http) in works.items():
                read[model].append(own())
                start = time.perf_counter()
                served[model].append(over_http())
                speeds[model].append(len(rows) / (time.perf_counter() - start))
    return [
        {
            "model": model,
            "rows": 1,
            **_quantiles("exported", read[model]),
            "exported_least_p50_ms": _ms(min(map(np.median, read[model]))),
            **_quantiles("served", served[model]),
            "served_per_second": round(float(np.median(speeds[model]))),
        }
        for model in folders
    ]


def _reader(folder: pathlib.Path) -> Any:
    sys.path.insert(0, str(folder))
    try:
        import predictor  # of the first folder; the readers are all the same
    finally:
        sys.path.remove(str(folder))
    return predictor.Predictor(folder)


def _one_by_one(
    predict: Callable[[Any], Any], rows: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """Seconds of each call, float64 [rows]."""
    for row in rows[:_FIRST]:
        predict(row)
    seconds = []
    for row in rows:
        start = time.perf_counter()
        predict(row)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds)


@contextlib.contextmanager
def _server(folder: pathlib.Path) -> Iterator[int]:
    """The port of a server process, which is stopped at the end."""
    command = [sys.executable, str(_SERVE), str(folder), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            yield int(address.rstrip("/").rpartition(":")[2])
        finally:
            process.terminate()


def _served(port: int, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Seconds of each answer, float64 [rows]."""

    def client(number: int) -> np.ndarray:
        connection = http.client.HTTPConnection("localhost", port, timeout=60)

        def ask(row: Mapping[str, Any]) -> None:
            connection.request("POST", "/", json.dumps(row))
            answer = connection.getresponse()
            found = json.loads(answer.read())
            assert answer.status == 200, found

        with contextlib.closing(connection):
            return _one_by_one(ask, rows[number::CLIENTS])

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return np.concatenate(list(pool.map(client, range(CLIENTS))))


def _quantiles(name: str, turns: Sequence[np.ndarray]) -> dict[str, float]:
    """Of the turns' quantiles the medians, in milliseconds."""
    return {
        f"{name}_p{percent}_ms": _ms(
            np.median([np.percentile(t, percent) for t in turns])
        )
        for percent in (50, 99)
    }


def _ms(seconds: Any) -> float:
    return round(1e3 * float(seconds), 3)
