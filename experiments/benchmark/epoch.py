"""Whole epochs through `experiments.train`: loader, steps, evaluation and checkpoint."""

import itertools
import json
import re
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from experiments.benchmark import processes, timing


def run(*, train_flags: Sequence[str], epochs: int = 5) -> list[dict[str, Any]]:
    """Trains in a process of its own and watches its epochs end.

    Args:
        train_flags: flags of `experiments.train`, such as a preset and a data_dir.
        epochs: how many to train; the first, which compiles, is told apart.

    Returns:
        One case: 'first_epoch_s', from the start of the process; 'epoch_s' of the
        others, evaluation, checkpoint and compilation included; 'examples_per_second' of
        training alone and 'compile_seconds', as the program reports them;
        'validation_auc'; 'peak_rss_mb'.
    """
    ends = [time.perf_counter()]

    def look(line: str) -> None:
        if re.search(r"Epoch \d+ of \d+: ", line):
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        done = processes.run(
            "experiments.train",
            *train_flags,
            f"--workdir={folder}/run",
            f"--epochs={epochs}",
            "--patience=0",
            on_stderr=look,
        )
    result = json.loads(done.result)
    lengths = [end - start for start, end in itertools.pairwise(ends)]
    validation = result["validation"] or {}
    return [
        {
            "model": result["model"],
            "dataset": result["dataset"],
            "epochs": len(lengths),
            "first_epoch_s": lengths[0],
            "epoch_s": timing.spread(lengths[1:]) if len(lengths) > 1 else None,
            "examples_per_second": result["examples_per_second"],
            "compile_seconds": result["compile_seconds"],
            "validation_auc": validation.get("auc"),
            "peak_rss_mb": done.peak_rss_mb,
        }
    ]
