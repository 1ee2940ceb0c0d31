"""Shows which pairs of fields a trained AFM or AFM_Deep attends to.

    python -m experiments.pairs --workdir=runs/afm

For each pair of fields it gives the mean attention over the rows of a split, and the
standard deviation of the pair's contribution to the logit: what attention makes of the
pair, and what that changes. On planted data, whose interacting pairs are known with their
strengths (the same standard deviation, of the truth), both are compared with the truth.
"""

import contextlib
import sys
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
import scipy.stats
from absl import flags
from flax import linen as nn

from afm_jax.data.loader import Loader
from afm_jax.data.synthetic import planted
from afm_jax.features import Batch, Schema
from afm_jax.inference import restoring
from afm_jax.modules import pair_attention
from afm_jax.ops import interactions
from experiments import run_flags, runs, startup
from experiments.cli import program

FLAGS = flags.FlagValues()

_RUN = run_flags.define(FLAGS)
_SPLIT = flags.DEFINE_string("split", "test", "Split to look at.", flag_values=FLAGS)
_TOP = flags.DEFINE_integer(
    "top", 10, "Number of pairs to show.", flag_values=FLAGS, lower_bound=1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4096, "Number of rows of a batch.", flag_values=FLAGS, lower_bound=1
)


def main() -> dict[str, Any]:
    """Looks at the run that the flags name; returns the pairs that count most."""
    startup.prepare()
    config, own = _RUN.config(), _RUN.own_model()
    store = runs.open_data(config["dataset"], config["data_dir"])
    rows = runs.rows_of(store, config["dataset"], _SPLIT.value)
    loader = Loader(rows, _BATCH_SIZE.value, shuffle=False)
    runs.log_if_capped(_BATCH_SIZE.value, loader, _SPLIT.value)
    model, step, variables = restoring.restore(
        _RUN.run, store.schema, step=_RUN.step.value, model=own
    )
    variables = jax.device_put(variables)
    with contextlib.closing(loader.batches(0)) as batches:
        attention, contribution = over_rows(model, variables, batches)
    strengths = planted_strengths(store.schema) if store.probabilities else None
    pairs = _pairs(store.schema, attention, contribution, strengths)
    print(_table(pairs), file=sys.stderr)
    scores = {"attention": attention, "contribution": contribution}
    return {
        "model": config["model"],
        "dataset": config["dataset"],
        "split": _SPLIT.value,
        "step": step,
        "pairs": pairs,
        **{
            name: None if strengths is None else agreement(each, strengths)
            for name, each in scores.items()
        },
    }


def over_rows(
    model: nn.Module, variables: Any, batches: Iterable[Batch]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean attention and standard deviation of the contribution of each pair.

    Args:
        model: a model with attention pooling.
        variables: its variables.
        batches: padding rows, of weight 0, do not count.

    Returns:
        Two arrays float64 [F (F - 1) / 2], pairs in the order of `pair_indices`.
    """

    @jax.jit
    def sums(variables, batch):
        weights, effects = pair_attention.pair_attention(
            model, variables, batch.features
        )
        each = (weights, effects, effects**2)
        return [batch.weights @ array for array in each]

    totals, rows = np.zeros((3, 1)), 0.0
    for batch in batches:
        totals = totals + np.asarray(sums(variables, batch), np.float64)
        rows += float(np.sum(batch.weights))
    attention, mean, square = totals / rows
    return attention, np.sqrt(np.maximum(square - mean**2, 0.0))


def planted_strengths(schema: Schema) -> np.ndarray:
    """The strength of each pair in planted data, 0 if planted apart; float64 [P]."""
    truth = planted.plant(schema.options["seed"])
    strengths = dict(zip(truth.pairs, truth.strengths, strict=True))
    order = zip(*interactions.pair_indices(len(schema.fields)), strict=True)
    return np.array([strengths.get((int(i), int(j)), 0.0) for i, j in order])


def agreement(scores: np.ndarray, strengths: np.ndarray) -> dict[str, float | None]:
    """How well scores find the planted pairs.

    Args:
        scores: float [P].
        strengths: float [P], n of them above 0.

    Returns:
        'rank_correlation', Spearman's over all pairs, None if all scores are equal;
        'precision', the share of planted pairs among the n of the highest scores;
        'chance', the precision to be expected of scores that know nothing.
    """
    there = strengths > 0
    n = int(there.sum())
    highest = np.argsort(-scores, kind="stable")[:n]
    differ = np.ptp(scores) > 0
    return {
        "rank_correlation": float(scipy.stats.spearmanr(scores, strengths).statistic)
        if differ
        else None,
        "precision": float(there[highest].mean()),
        "chance": n / len(strengths),
    }


def _pairs(
    schema: Schema,
    attention: np.ndarray,
    contribution: np.ndarray,
    strengths: np.ndarray | None,
) -> list[dict[str, Any]]:
    """The pairs of the largest contributions."""
    first, second = interactions.pair_indices(len(schema.fields))
    found = []
    for pair in np.argsort(-contribution, kind="stable")[: _TOP.value]:
        fields = (schema.fields[first[pair]].name, schema.fields[second[pair]].name)
        found.append(
            {
                "fields": fields,
                "attention": float(attention[pair]),
                "contribution": float(contribution[pair]),
                "planted": None if strengths is None else float(strengths[pair]),
            }
        )
    return found


def _table(pairs: list[dict[str, Any]]) -> str:
    lines = ["attention  contribution  planted  fields"]
    for pair in pairs:
        planted_strength = "-" if pair["planted"] is None else f"{pair['planted']:.2f}"
        lines.append(
            f"{pair['attention']:9.5f}  {pair['contribution']:12.4f}  {planted_strength:>7}  {' x '.join(pair['fields'])}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(program.run(main, FLAGS))
