"""Memory of a training process on CPUs, as a multiple of the state that it trains."""

import json
import logging
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from experiments.benchmark import processes, workload

EPOCHS = 2

_NUMBER_BYTES = 3 * 4
"""A parameter and Adam's two moments of it, in float32."""

_log = logging.getLogger(__name__)


def run(
    *, vocab_size: int = 1_000_000, embedding_dims: Sequence[int] = (16,)
) -> list[dict[str, Any]]:
    """Trains FM with tables of several sizes, each in a process of its own.

    Every run trains two epochs, each with an evaluation and a checkpoint. Then another
    process goes on with it for one epoch more. A run with tables of hardly any size shows
    what a process takes for all else: Python, libraries, compiled functions, batches.

    Args:
        vocab_size: ids of all fields together, nearly.
        embedding_dims: widths of the embedding table.

    Returns:
        A case for each width: 'state_mb', parameters and optimizer state; 'base_mb', the
        peak of the process with hardly any state; 'peak_rss_mb' and 'resumed_peak_rss_mb',
        the peaks of the two processes; 'of_state' and 'resumed_of_state', what they hold
        beyond the base as a multiple of the state.
    """
    with tempfile.TemporaryDirectory() as folder:
        _prepare(pathlib.Path(folder), vocab_size)
        _, *base = _peaks(folder, 1)
        return [_case(width, *_peaks(folder, width), base) for width in embedding_dims]


def _case(
    embedding_dim: int, params: int, first: int, resumed: int, base: list[int]
) -> dict[str, Any]:
    state = params * _NUMBER_BYTES / 2**20
    return {
        "embedding_dim": embedding_dim,
        "params": params,
        "state_mb": round(state),
        "base_mb": base[0],
        "peak_rss_mb": first,
        "of_state": (first - base[0]) / state,
        "resumed_peak_rss_mb": resumed,
        "resumed_of_state": (resumed - base[1]) / state,
    }


def _peaks(folder: str, embedding_dim: int) -> tuple[int, int, int]:
    """Parameters, and the peaks of a run and of the process that goes on with it."""
    peaks = []
    for epochs, more in (EPOCHS, ()), (EPOCHS + 1, ("--resume",)):
        _log.info("embedding_dim %d, to epoch %d", embedding_dim, epochs)
        done = processes.run(
            "experiments.train",
            "--model=fm",
            "--dataset=csv",
            "--patience=0",
            f"--data_dir={folder}/stores",
            f"--workdir={folder}/{embedding_dim}",
            f"--set=embedding_dim={embedding_dim}",
            f"--epochs={epochs}",
            "--batch_size=256",
            *more,
        )
        peaks.append(done.peak_rss_mb or 0)
    first, resumed = peaks
    return json.loads(done.result)["params"], first, resumed


def _prepare(folder: pathlib.Path, vocab_size: int) -> None:
    """A store in which every value occurs once, so that few rows make a large table."""
    columns = [f"C{number}" for number in range(workload.NUM_FIELDS)]
    with (folder / "rows.csv").open("w", encoding="utf-8") as file:
        print("label", *columns, sep=",", file=file)
        for row in range(vocab_size // workload.NUM_FIELDS):
            print(row % 2, *[row] * len(columns), sep=",", file=file)
    processes.run(
        "data.prepare",
        "--dataset=csv",
        f"--source={folder}/rows.csv",
        f"--data_dir={folder}/stores",
        "--label=label",
        "--fractions=0.9,0.1",
        f"--categorical={','.join(columns)}",
    )
