"""What a training says of itself on stderr: what it trains before, what came of it after."""

import logging
from collections.abc import Mapping
from typing import Any

import jax

from afm_jax.data.store.reader import Store
from afm_jax.training import messages, state
from afm_jax.training.dataset import Dataset
from afm_jax.training.run.folder import Run
from afm_jax.training.task import Task
from experiments import provenance
from experiments.cli import words

_log = logging.getLogger(__name__)


def tell_data(store: Store) -> None:
    """Logs the rows and positives of each split, the fields and the vocabulary."""
    schema = store.schema
    parts = [
        words.count(len(schema.fields), "field"),
        words.count(len(schema.dense), "dense column"),
    ]
    _log.info(
        "Data: %s, %s; %s in all.",
        schema.dataset,
        " and ".join(parts),
        words.count(schema.vocab_size, "feature id"),
    )
    for split, rows in store.splits.items():
        _log.info("%s: %s.", split.capitalize(), words.labels(rows.labels))


def tell_task(task: Task, dataset: Dataset, folder: Run) -> None:
    """Logs the model and its number of parameters, the devices and the folder."""
    train = dataset.splits["train"]
    features = train.batch(0, 0).features
    variables = jax.eval_shape(task.model.init, jax.random.key(0), features)
    name = type(task.model).__module__.rpartition(".")[2]
    _log.info(
        "Model: %s, %s.",
        name,
        words.count(state.num_params(variables["params"]), "parameter"),
    )
    _log.info(
        "Steps: %s an epoch, of %s each.",
        f"{train.steps_per_epoch:,}",
        words.count(train.batch_size, "row"),
    )
    _log.info("Device: %s.", provenance.device())
    _log.info("Folder: %s", folder.path)


def tell_result(result: Mapping[str, Any]) -> None:
    """Logs what came out, beside the best possible where that is known."""
    step = result["best_step"]
    epoch = step * result["epochs"] // result["steps"]
    _log.info("Best checkpoint: epoch %d, step %s.", epoch, f"{step:,}")
    possible = result["best_possible"] or {}
    for split in ("validation", "test"):
        if result[split] is not None:
            told = messages.in_words(result[split], possible.get(split))
            _log.info("%s: %s.", split.capitalize(), told)
