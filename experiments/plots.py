"""A comparison in pictures, by matplotlib (the extra 'plots')."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from afm_jax.errors import InputError, install
from afm_jax.training import metrics_log
from experiments.report import Run

FILES = ("metrics.png", "learning_curves.png", "cost.png")
"""What `draw` draws."""

_TITLES = {"auc": "AUC", "log_loss": "log loss"}


def check() -> None:
    """Raises InputError if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise InputError(
            f"Plots need matplotlib; {install('plots')}, or give --noplots."
        ) from None


def draw(
    folder: pathlib.Path,
    summary: Mapping[str, Any],
    compared: Mapping[str, Sequence[Run]],
) -> None:
    """Draws the pictures of `FILES`.

    Args:
        folder: where to.
        summary: of `report.summarize`.
        compared: the runs of each model.
    """
    pictures = (_metrics, _learning_curves, _cost)
    for name, picture in zip(FILES, pictures, strict=True):
        figure = _figure(len(compared))
        picture(figure, summary, compared)
        figure.savefig(folder / name, dpi=150)


def _figure(num_models: int) -> Any:
    from matplotlib.figure import Figure  # Not pyplot: no window, no global state.

    return Figure(figsize=(11, 3 + 0.25 * num_models), layout="constrained")


def _metrics(figure: Any, summary: Any, compared: Any) -> None:
    """Mean and standard deviation of AUC and log loss, with every seed as a dot."""
    names = list(compared)
    for axes, (metric, title) in zip(
        figure.subplots(1, 2, sharey=True), _TITLES.items(), strict=True
    ):
        for place, name in enumerate(names):
            mean = summary["models"][name][metric]
            if mean["mean"] is None:
                continue
            values = [run.result[summary["split"]][metric] for run in compared[name]]
            color = _color(place)
            axes.plot(values, [place] * len(values), ".", color=color, alpha=0.4)
            axes.errorbar(
                mean["mean"], place, xerr=mean["sd"], fmt="o", color=color, capsize=4
            )
        axes.set_xlabel(title)
        best = (summary["best_possible"] or {}).get(metric)
        if best is not None:
            axes.axvline(best, color="black", ls="--")
            axes.set_xlabel(f"{title} (dashed: best possible)")
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()
    figure.suptitle(
        f"{summary['dataset']}, {summary['split']}: mean ± sd of {summary['seeds']} seeds"
    )


def _learning_curves(figure: Any, summary: Any, compared: Any) -> None:
    """Validation AUC and log loss by epoch, a line for each seed."""
    for axes, (metric, title) in zip(
        figure.subplots(1, 2), _TITLES.items(), strict=True
    ):
        for place, (name, several) in enumerate(compared.items()):
            for run in several:
                epochs, values = _curve(run.workdir, metric)
                label = name if run is several[0] else None
                style = {"color": _color(place), "alpha": 0.6, "lw": 1.2}
                axes.plot(epochs, values, ".-", ms=3, label=label, **style)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(f"validation {title}")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"{summary['dataset']}: one line a seed")


def _cost(figure: Any, summary: Any, compared: Any) -> None:
    """AUC against training time and against the number of parameters."""
    from matplotlib import ticker

    left, right = figure.subplots(1, 2, sharey=True)
    for place, (name, model) in enumerate(summary["models"].items()):
        auc, seconds = model["auc"], model["seconds"]
        spots = [(right, model["params"], None)]
        if seconds["mean"] is not None:
            spots.append((left, seconds["mean"], seconds["sd"]))
        for axes, x, spread in spots:
            axes.errorbar(
                x,
                auc["mean"],
                xerr=spread,
                yerr=auc["sd"],
                fmt="o",
                capsize=3,
                color=_color(place),
                label=name,
            )
    left.set_xlabel("seconds in training steps")
    right.set_xlabel("parameters")
    left.set_ylabel(f"{summary['split']} AUC")
    for axes, form in ((left, "{x:g}"), (right, ticker.EngFormatter(sep=""))):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
        axes.xaxis.set_major_formatter(form)
        axes.xaxis.set_minor_formatter(form)
        axes.grid(alpha=0.3)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"{summary['dataset']}: mean ± sd of {summary['seeds']} seeds")


def _curve(workdir: pathlib.Path, metric: str) -> tuple[list[int], list[float | None]]:
    """Epochs and values of a validation metric, from what the run wrote down."""
    lines = metrics_log.read_metrics(workdir)
    evaluated = [line for line in lines if line.get("validation")]
    return (
        [line["epoch"] for line in evaluated],
        [line["validation"][metric] for line in evaluated],
    )


def _color(place: int) -> str:
    return f"C{place % 10}"
