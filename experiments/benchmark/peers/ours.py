"""Our worker: `python -m experiments.benchmark.peers.ours <job as JSON>`; see `suite`."""

import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from afm_jax import models
from afm_jax.data.store.reader import Rows
from afm_jax.training import optimizers
from experiments import startup
from experiments.benchmark import evaluation, step, timing
from experiments.benchmark.peers import handover, protocol


def works(job: Mapping[str, Any]) -> dict[str, timing.Work]:
    """Steps with batches from each source, or prediction, as users run them."""
    startup.prepare()
    rows = handover.read(pathlib.Path(job["rows"]))
    data = Rows(rows.global_ids(), None, rows.dense, rows.labels)
    model = models.make(
        job["model"], vocab_size=int(rows.field_sizes.sum()), **job["settings"]
    )
    batch_size = job["batch_size"]
    if job["task"] == "predict":
        return {"predict": evaluation.prediction(model, batch_size, data)}
    tx = optimizers.make("adam", job["learning_rate"])
    run = step.Run(model, tx, batch_size, "rows", data)
    return {source: run.work(source) for source in step.SOURCES}


if __name__ == "__main__":
    protocol.serve(lambda: works(json.loads(sys.argv[1])))
