"""Evaluation: exact AUC over many rows, and compiled prediction."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from afm_jax import models
from afm_jax.features import Batch, Features, Rows
from afm_jax.ops import metrics
from afm_jax.training import steps
from afm_jax.training.devices import Devices
from experiments.benchmark import timing, workload

BATCHES = 8

_log = logging.getLogger(__name__)


def run(
    *,
    model_names: Sequence[str],
    batch_sizes: Sequence[int] = (4096,),
    vocab_size: int = 1_000_000,
    settings: Mapping[str, Any] = {},
    auc_rows: int = 5_000_000,
    turns: timing.Turns = timing.TURNS,
) -> list[dict[str, Any]]:
    """Times the exact AUC, and prediction by each model on batches on the device.

    Args:
        model_names: names of models.
        batch_sizes: rows of a batch.
        vocab_size: table rows.
        settings: hyperparameters of all models; else their defaults, k = 16.
        auc_rows: rows of the AUC; scores in float32 as a model gives them.
        turns: how often the cases take turns, and how long a turn is.

    Returns:
        A case for the AUC and one for each model and batch size: 'ms',
        'processor_ms', 'examples_per_second'.
    """
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(auc_rows, np.float32)
    labels = (rng.random(auc_rows) < 0.25).astype(np.float32)
    works = {("auc", auc_rows): _repeated(lambda: metrics.auc(scores, labels))}
    for name, batch_size in itertools.product(model_names, batch_sizes):
        _log.info("%s, batch %d", name, batch_size)
        works[name, batch_size] = prediction(
            models.make(name, vocab_size=vocab_size, **settings),
            batch_size,
            workload.random_rows(BATCHES * batch_size, vocab_size),
        )
    times = timing.interleaved(works, turns)
    return [
        {
            "what": name,
            "rows": num_rows,
            "ms": timing.spread(1e3 * each.seconds),
            "processor_ms": timing.spread(1e3 * each.processor_seconds),
            "examples_per_second": timing.spread(num_rows / each.seconds),
        }
        for (name, num_rows), each in times.items()
    ]


def prediction(model: nn.Module, batch_size: int, rows: Rows) -> timing.Work:
    """Prediction of batches of these rows, ready on the device, in turn."""
    devices = Devices(model.vocab_size)
    devices.check_batch_size(batch_size)
    batches = []
    for start in range(0, len(rows.ids), batch_size):
        part = slice(start, start + batch_size)
        labels = rows.labels[part]
        features = Features(rows.ids[part], None, rows.dense[part])
        batches.append(devices.place_batch(Batch(features, labels, labels)))
    variables = jax.jit(model.init)(jax.random.key(0), batches[0].features)
    predict = devices.compile_predict(steps.make_predict(model))

    def work(count: int) -> None:
        logits = None
        for batch in itertools.islice(itertools.cycle(batches), count):
            logits = predict(variables, batch)
        jax.block_until_ready(logits)

    return work


def _repeated(function: Any) -> timing.Work:
    def work(count: int) -> None:
        for _ in range(count):
            function()

    return work
