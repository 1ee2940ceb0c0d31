"""Evaluates a checkpoint of a run on one split of its data, or of other data.

    python -m experiments.evaluate --workdir=runs/x --split=test

The data must be encoded as the training data was: a schema that differs is refused.
"""

import contextlib
import sys
from typing import Any

from absl import flags

from afm_jax.data.loader import Loader
from afm_jax.training import evaluation
from afm_jax.training.dataset import check_labels
from experiments import run_flags, runs, startup
from experiments.cli import program

FLAGS = flags.FlagValues()

_RUN = run_flags.define(FLAGS)
_SPLIT = flags.DEFINE_string(
    "split",
    None,
    "Split to evaluate on. If not given, it is test, or validation where there is no test.",
    flag_values=FLAGS,
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    "Name of the data set, that of the run if not given.",
    flag_values=FLAGS,
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the data set, that of the run if not given.",
    flag_values=FLAGS,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4096, "Number of rows of a batch.", flag_values=FLAGS, lower_bound=1
)
_GROUP_FIELD = flags.DEFINE_string(
    "group_field",
    None,
    "Field, such as user, within whose values GAUC ranks the rows.",
    flag_values=FLAGS,
)


def main() -> dict[str, Any]:
    """Evaluates as the flags say; returns the metrics."""
    startup.prepare()
    config = _RUN.config()
    dataset = _DATASET.value or config["dataset"]
    store = runs.open_data(dataset, _DATA_DIR.value or config["data_dir"])
    split = _SPLIT.value or ("test" if "test" in store.splits else "validation")
    rows = runs.rows_of(store, dataset, split)
    groups = runs.groups(store, [split], _GROUP_FIELD.value)
    predictor = _RUN.predictor(store.schema)
    loss, devices = predictor.loss, predictor.devices
    check_labels(rows.labels, f"the {split} split", schema=store.schema, loss=loss)
    devices.check_batch_size(_BATCH_SIZE.value)
    loader = Loader(rows, _BATCH_SIZE.value, shuffle=False, multiple=devices.count)
    runs.log_if_capped(_BATCH_SIZE.value, loader, split)
    with contextlib.closing(
        loader.batches(0, transform=devices.place_batch)
    ) as batches:
        metrics = evaluation.evaluate(
            predictor.apply, batches, loss=loss, groups=groups.get(split)
        )
    best = None
    if split in store.probabilities:
        best = evaluation.best_possible(
            store.probabilities[split], rows.labels, loss=loss
        )
    return {
        "model": config["model"],
        "dataset": dataset,
        "split": split,
        "step": predictor.step,
        "metrics": metrics,
        "best_possible": best,
        "workdir": str(_RUN.run.path),
    }


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
