"""What a run says while it trains, in words."""

from collections.abc import Mapping

from afm_jax.ops.metrics import METRICS
from afm_jax.training.progress import Options, Progress

Metrics = Mapping[str, float | None]


def in_words(metrics: Metrics, possible: Metrics | None = None) -> str:
    """Metrics such as 'AUC 0.8058 (best possible 0.8532), log loss 0.4662 (0.4075)'.

    Args:
        metrics: as `evaluation.metrics_of` gives them; what is not measured is left out.
        possible: the best possible values of some of them, if they are known.
    """
    parts, words = [], "best possible "
    for name, metric in METRICS.items():
        value, best = metrics.get(name), (possible or {}).get(name)
        if value is None:
            continue
        part = f"{metric.title} {value:.4f}"
        if best is not None:
            part, words = f"{part} ({words}{best:.4f})", ""
        parts.append(part)
    return ", ".join(parts)


def epoch(
    progress: Progress, options: Options, loss: float, metrics: Metrics | None
) -> str:
    """What an epoch brought.

    Args:
        progress: where the run stands after the epoch was counted.
        options: of the run.
        loss: mean loss of the last training rows.
        metrics: on the validation rows; None if there are none.
    """
    said = f"Epoch {progress.epochs} of {options.epochs}: training loss {loss:.4f}"
    found = (metrics or {}).get(options.monitor)
    if metrics is None or found is None:
        return f"{said}, nothing to validate by."
    monitored = METRICS[options.monitor]
    is_best = progress.evaluations_since_best == 0
    beside = "best so far" if is_best else f"best: {progress.best:.4f}"
    said += f", validation {monitored.title} {found:.4f} ({beside})"
    other = next(
        (
            f", {metric.title} {metrics[name]:.4f}"
            for name, metric in METRICS.items()
            if name != options.monitor and metric.direction and metrics.get(name)
        ),
        "",
    )
    return f"{said}{other}."


def learning_rate_cut(options: Options, learning_rate: float | None) -> str:
    """What follows an evaluation that is not the best.

    Args:
        options: of the run.
        learning_rate: of the next step; None if the optimizer alone knows it.
    """
    if learning_rate is None:
        return f"Updates are now multiplied by {options.plateau_factor:g} once more."
    return f"Learning rate cut to {learning_rate:.3g}."


def stopped(progress: Progress, options: Options) -> str:
    """Why a run ends before its last epoch."""
    title = METRICS[options.monitor].title
    count = progress.evaluations_since_best
    return f"Stopped after epoch {progress.epochs}: {count} evaluations in a row without a better validation {title}."
