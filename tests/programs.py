"""Programs in this process, on planted data of few rows; and runs without training."""

import functools
import pathlib

import numpy as np
import pytest

from afm_jax.data import synthetic
from afm_jax.ops import losses
from afm_jax.training import evaluation
from experiments import report, runs
from experiments.cli import program


@functools.cache
def small_store():
    rows = {"train": 1_100, "validation": 300, "test": 400}
    return synthetic.make(rows=rows, min_count=3)


def run(module, *arguments, store=None):
    """The result of `main` of a program, whose data are `store` whatever it asks for."""
    found = store or small_store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "open_data", lambda dataset, data_dir: found)
        program.parse(module.FLAGS, [module.__name__, *arguments])
        return module.main()


def made_up_runs(strengths, *, seeds=4, loss="sigmoid_cross_entropy"):
    """Runs whose logits separate the labels by each strength; and the labels."""
    rng = np.random.default_rng(0)
    labels = (rng.random(600) < 0.4).astype(np.float32)
    shared = rng.normal(size=600)
    compared = {}
    for name, strength in strengths.items():
        compared[name] = []
        for seed in range(seeds):
            logits = strength * (labels - 0.5) + shared + 0.1 * rng.normal(size=600)
            logits = logits.astype(np.float32)
            result = {
                "validation": None,
                "test": evaluation.metrics_of(logits, labels, loss=loss),
                "best_possible": {"test": {"auc": 0.9, "log_loss": 0.3, "rmse": 0.2}},
                "epochs": seed + 1,
                "examples_per_second": None if seed == 1 else 50,
                "params": 1234,
            }
            # Of more rows than there are, as a run may be asked for.
            config = {"dataset": "toy", "batch_size": 1_000, "loss": loss}
            compared[name].append(
                report.Run(
                    pathlib.Path(name),
                    seed,
                    config,
                    result,
                    logits,
                    losses.make(loss),
                    train_rows=200,
                )
            )
    return compared, labels
