"""A comparison in pictures, by matplotlib (the extra 'plots')."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from afm_jax.errors import InputError, install
from afm_jax.ops.metrics import METRICS
from afm_jax.training.run.folder import Run
from experiments import report

FILES = ("metrics.png", "learning_curves.png", "cost.png")
"""What `draw` draws."""


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
    compared: Mapping[str, Sequence[report.Run]],
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
    """Mean and standard deviation of the tested metrics, with every seed as a dot."""
    names = list(compared)
    for axes, metric in _panels(figure, summary, sharey=True):
        title = METRICS[metric].title
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
    """The tested metrics on validation by epoch, a line for each seed."""
    for axes, metric in _panels(figure, summary):
        for place, (name, several) in enumerate(compared.items()):
            for run in several:
                epochs, values = _curve(run.workdir, metric)
                label = name if run is several[0] else None
                style = {"color": _color(place), "alpha": 0.6, "lw": 1.2}
                axes.plot(epochs, values, ".-", ms=3, label=label, **style)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylabel(f"validation {METRICS[metric].title}")
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"{summary['dataset']}: one line a seed")


def _cost(figure: Any, summary: Any, compared: Any) -> None:
    """The first tested metric against training time and the number of parameters."""
    from matplotlib import ticker

    first = summary["tested"][0]
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (name, model) in enumerate(summary["models"].items()):
        value, seconds = model[first], model["seconds"]
        spots = [(right, model["params"], None)]
        if seconds["mean"] is not None:
            spots.append((left, seconds["mean"], seconds["sd"]))
        for axes, x, spread in spots:
            axes.errorbar(
                x,
                value["mean"],
                xerr=spread,
                yerr=value["sd"],
                fmt="o",
                capsize=3,
                color=_color(place),
                label=name,
            )
    left.set_xlabel("seconds in training steps")
    right.set_xlabel("parameters")
    left.set_ylabel(f"{summary['split']} {METRICS[first].title}")
    for axes, form in ((left, "{x:g}"), (right, ticker.EngFormatter(sep=""))):
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(ticker.LogLocator(subs=(2, 5)))
        axes.xaxis.set_major_formatter(form)
        axes.xaxis.set_minor_formatter(form)
        axes.grid(alpha=0.3)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper")
    figure.suptitle(f"{summary['dataset']}: mean ± sd of {summary['seeds']} seeds")


def _panels(figure: Any, summary: Any, **options: Any) -> Any:
    """Axes for each tested metric, and its name."""
    tested = summary["tested"]
    panels = figure.subplots(1, len(tested), squeeze=False, **options)[0]
    return zip(panels, tested, strict=True)


def _curve(workdir: pathlib.Path, metric: str) -> tuple[list[int], list[float | None]]:
    """Epochs and values of a validation metric, from what the run wrote down."""
    lines = Run(workdir).read_metrics()
    evaluated = [line for line in lines if line.get("validation")]
    return (
        [line["epoch"] for line in evaluated],
        [line["validation"].get(metric) for line in evaluated],
    )


def _color(place: int) -> str:
    return f"C{place % 10}"
