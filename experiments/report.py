"""A comparison in numbers: summary, table.md, results.jsonl."""

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from afm_jax.ops import metrics
from afm_jax.ops.losses import Loss
from afm_jax.training import evaluation
from experiments import statistics, workdirs

FILES = ("table.md", "results.jsonl")
"""What `write` writes."""

_UNDECIDED = "no difference shown"


class Run(NamedTuple):
    """A finished run.

    Attributes:
        workdir: its folder.
        seed: its seed.
        config: its config.json.
        result: its result.json.
        logits: on the reported split, float32 [N].
        loss: that it was trained with.
        train_rows: rows of the training split.
    """

    workdir: pathlib.Path
    seed: int
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    logits: np.ndarray
    loss: Loss
    train_rows: int

    @property
    def seconds(self) -> float | None:
        """Time in training steps, evaluation and compilation left out."""
        rate = self.result["examples_per_second"]
        rows = self.result["epochs"] * self.train_rows
        return rows / rate if rate else None


def summarize(
    compared: Mapping[str, Sequence[Run]],
    labels: np.ndarray,
    split: str,
    reference: str,
    *,
    weights: np.ndarray | None = None,
    resamples: int,
    advance: Callable[[int], None] = lambda resamples: None,
) -> dict[str, Any]:
    """Means over seeds, and differences to the reference with their certainty.

    Args:
        compared: the runs of each model, with the same seeds in the same order.
        labels: of the reported split, [N].
        split: its name.
        reference: one of the models.
        weights: of its rows, [N], or None for all ones.
        resamples: of the rows, for intervals and p-values.
        advance: called with the resamples that are done.

    Returns:
        'dataset', 'split', 'rows', 'seeds' (how many), 'resamples', 'reference',
        'tested' (the metrics whose differences are tested), 'models' (for each, the
        metrics that tell which is better, such as 'auc', and 'seconds' and
        'compile_seconds', as {'mean', 'sd'}; 'params'), 'differences' (for each but the
        reference, for each tested metric, see `statistics.difference`; 'p_holm',
        corrected for the number of models; 'verdict'; 'reason', see `reason`) and
        'best_possible'. What there is not is None: the sd of one seed, the log loss
        under squared_error.
    """
    first = compared[reference][0]
    every = [run for several in compared.values() for run in several]
    measured = [
        name
        for name in metrics.DIRECTIONS
        if any(name in run.result[split] for run in every)
    ]
    kind = first.loss.label_kind(labels)
    tested = [n for n, each in metrics.METRICS.items() if kind in each.tested_on]
    predicted = [
        evaluation.predicted(run.logits, labels, weights, loss=run.loss)
        for run in every
    ]
    draws = statistics.bootstrap(
        predicted, tested, resamples=resamples, seed=0, advance=advance
    )
    by_metric = {
        metric: dict(zip(compared, np.split(each, len(compared)), strict=True))
        for metric, each in draws.items()
    }
    return {
        "dataset": first.config["dataset"],
        "split": split,
        "rows": len(labels),
        "seeds": len(compared[reference]),
        "resamples": resamples,
        "reference": reference,
        "tested": tested,
        "models": {
            name: _means(several, split, measured) for name, several in compared.items()
        },
        "differences": _differences(compared, by_metric, split, reference),
        "best_possible": (first.result["best_possible"] or {}).get(split),
    }


def _means(
    several: Sequence[Run], split: str, measured: Sequence[str]
) -> dict[str, Any]:
    columns: dict[str, list[float | None]] = {
        metric: [run.result[split].get(metric) for run in several]
        for metric in measured
    }
    columns["seconds"] = [run.seconds for run in several]
    # None in results of older versions.
    columns["compile_seconds"] = [run.result.get("compile_seconds") for run in several]
    means: dict[str, Any] = {}
    for name, column in columns.items():
        values = [value for value in column if value is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        mean = float(np.mean(values)) if values else None
        means[name] = {"mean": mean, "sd": sd}
    return {**means, "params": several[0].result["params"]}


def _differences(
    compared: Mapping[str, Sequence[Run]],
    by_metric: Mapping[str, Mapping[str, np.ndarray]],
    split: str,
    reference: str,
) -> dict[str, dict[str, Any]]:
    others = [name for name in compared if name != reference]
    found: dict[str, dict[str, Any]] = {name: {} for name in others}
    for metric, draws in by_metric.items():
        values = {
            name: [run.result[split].get(metric) for run in several]
            for name, several in compared.items()
        }
        tested = [
            name for name in others if None not in values[name] + values[reference]
        ]
        results = [
            statistics.difference(
                np.array(values[name]),
                np.array(values[reference]),
                draws[name],
                draws[reference],
                seed=1,
            )
            for name in tested
        ]
        corrected = statistics.holm([result.p for result in results])
        for name in others:
            found[name][metric] = None
        for name, result, p_holm in zip(tested, results, corrected, strict=True):
            found[name][metric] = {
                **result._asdict(),
                "p_holm": p_holm,
                "verdict": verdict(metric, result, p_holm, len(values[name])),
                "reason": reason(result, p_holm, len(values[name])),
            }
    return found


def verdict(
    metric: str, found: statistics.Difference, p_holm: float, seeds: int
) -> str:
    """'better' or 'worse' if interval and corrected p both say so, and not of one seed."""
    if seeds < 2 or p_holm >= statistics.LEVEL or not found.leaves_out_zero:
        return _UNDECIDED
    better = found.mean * metrics.DIRECTIONS[metric] > 0
    return "better" if better else "worse"


def reason(found: statistics.Difference, p_holm: float, seeds: int) -> str | None:
    """Why an interval that leaves out 0 shows no difference; None where it does."""
    if not found.leaves_out_zero:
        return None
    if seeds < 2:
        return "one seed, so the interval does not hold the luck of the seed"
    if p_holm >= statistics.LEVEL:
        return f"the corrected p is not below {statistics.LEVEL}"
    return None


def write(
    workdir: pathlib.Path,
    summary: Mapping[str, Any],
    compared: Mapping[str, Sequence[Run]],
) -> None:
    """Writes table.md and results.jsonl, one line for each run."""
    workdirs.write_text(workdir / FILES[0], table(summary))
    lines = [
        {
            "name": name,
            "seed": run.seed,
            **run.result,
            "seconds": run.seconds,
            "config": run.config,
        }
        for name, several in compared.items()
        for run in several
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    workdirs.write_text(workdir / FILES[1], text)


def table(summary: Mapping[str, Any]) -> str:
    """The summary as Markdown."""
    seeds, split, reference = (summary[k] for k in ("seeds", "split", "reference"))
    first = next(iter(summary["models"].values()))
    measured = [name for name in metrics.DIRECTIONS if name in first]
    titles = [_title(name) for name in measured]
    chosen = (
        "the epoch of each run is the best on validation."
        if split == "test"
        else "there is no test split; the epoch of each run is the best on the same rows, so that all figures are a little too good."
    )
    lines = [
        f"# {summary['dataset']}: {len(summary['models'])} models, {seeds} seed{'s' * (seeds > 1)}",
        "",
        f"Reported split: {split}, {summary['rows']:,} rows; {chosen}",
        "Mean ± standard deviation over seeds. Seconds are those in training steps; seconds of compilation are not among them.",
        "",
        _row(["model", *titles, "parameters", "seconds", "compilation"]),
        "|---" * (len(titles) + 4) + "|",
    ]
    for name, model in summary["models"].items():
        values = [_mean(model[metric], 5) for metric in measured]
        seconds = [_mean(model[kind], 1) for kind in ("seconds", "compile_seconds")]
        lines.append(_row([name, *values, f"{model['params']:,}", *seconds]))
    if summary["best_possible"]:
        best = [_number(summary["best_possible"].get(metric), 5) for metric in measured]
        lines.append(_row(["best possible", *best, "", "", ""]))
    if summary["differences"]:
        lines += _difference_lines(summary, reference)
    return "\n".join(lines) + "\n"


def _difference_lines(summary: Mapping[str, Any], reference: str) -> list[str]:
    sure = (
        f"A model is better or worse if its corrected p is below {statistics.LEVEL} and its interval leaves out 0."
        if summary["seeds"] > 1
        else "With one seed the luck of the seed is in no interval: nothing is called better or worse."
    )
    lines = [
        "",
        f"## Differences to {reference}",
        "",
        f"95% intervals over rows ({summary['resamples']} paired resamples) and seeds; p two-sided, Holm-corrected for the number of models.",
        sure,
        "",
        "| model |" + "".join(f" {_title(n)} | p | |" for n in summary["tested"]),
        "|---" * (1 + 3 * len(summary["tested"])) + "|",
    ]
    for name, by_metric in summary["differences"].items():
        cells = [name]
        for metric in summary["tested"]:
            found = by_metric[metric]
            if found is None:
                cells += ["-", "", ""]
                continue
            ends = ", ".join(f"{found[end]:+.5f}" for end in ("low", "high"))
            p = f"{found['p_holm']:.3g}"
            description = ": ".join(filter(None, (found["verdict"], found["reason"])))
            cells += [f"{found['mean']:+.5f} [{ends}]", p, description]
        lines.append(_row(cells))
    return lines


def _title(metric: str) -> str:
    return metrics.METRICS[metric].title


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mean(value: Mapping[str, float | None], digits: int) -> str:
    if value["sd"] is None:
        return _number(value["mean"], digits)
    return f"{value['mean']:.{digits}f} ± {value['sd']:.{digits}f}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
