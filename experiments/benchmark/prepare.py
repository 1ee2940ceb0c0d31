"""Preparation: raw Criteo rows a second and the memory it takes, by size of the file."""

import json
import logging
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from afm_jax.data import synthetic
from experiments.benchmark import processes, timing

_log = logging.getLogger(__name__)


def run(
    *, row_counts: Sequence[int] = (1_000_000, 4_000_000), windows: int = 3
) -> list[dict[str, Any]]:
    """Runs `data.prepare --dataset=criteo` on planted rows in Criteo's format.

    Args:
        row_counts: how many rows, one file each, in a temporary folder: 4 million take
            some 4 GB with their store.
        windows: how often each is prepared, in turn.

    Returns:
        For each size 'rows_per_second' as the program reports it, conversion included;
        'seconds' of the whole process; 'peak_rss_mb', the largest; and the two ratios
        to the smallest file.
    """
    speeds: dict[int, list[float]] = {count: [] for count in row_counts}
    seconds: dict[int, list[float]] = {count: [] for count in row_counts}
    peaks: dict[int, list[int]] = {count: [] for count in row_counts}
    with tempfile.TemporaryDirectory() as folder:
        for count in row_counts:
            _log.info("Writing %d rows", count)
            source = pathlib.Path(folder, str(count))
            source.mkdir()
            synthetic.write_criteo_tsv(source / "train.txt", count)
        for window in range(windows):
            for count in row_counts:
                _log.info("Preparing %d rows, turn %d", count, window + 1)
                done = processes.run(
                    "data.prepare",
                    "--dataset=criteo",
                    "--overwrite",
                    f"--source={folder}/{count}/train.txt",
                    f"--data_dir={folder}/stores",
                )
                speeds[count].append(json.loads(done.result)["rows_per_second"])
                seconds[count].append(done.seconds)
                peaks[count].append(done.peak_rss_mb or 0)
    smallest = min(row_counts)
    return [
        {
            "rows": count,
            "rows_per_second": timing.spread(speeds[count]),
            "seconds": timing.spread(seconds[count]),
            "peak_rss_mb": max(peaks[count]) or None,
            "speed_of_smallest": timing.spread(
                [a / b for a, b in zip(speeds[count], speeds[smallest], strict=True)]
            ),
            "rss_of_smallest": max(peaks[count]) / max(peaks[smallest])
            if max(peaks[smallest])
            else None,
        }
        for count in row_counts
    ]
