"""Draws docs/curves.png: how models learn, epoch by epoch, beside the best possible AUC.

    python -m docs.curves

It trains four models on the embedded synthetic data, a few minutes on two cores, and needs
the extra 'plots'.
"""

import json
import pathlib
import tempfile

from afm_jax.training.run.folder import Run
from experiments import train
from experiments.cli import program

PICTURE = pathlib.Path(__file__).with_suffix(".png")

_MODELS = {
    "lr": "lr: single features",
    "fm": "fm: pairs",
    "afm_deep": "afm_deep: pairs by attention, MLP",
    "deepfm": "deepfm: pairs, MLP",
}
_EPOCHS = 5


def main() -> None:
    """Trains the models, prints their curves and writes the picture."""
    curves: dict[str, list[float]] = {}
    best_possible = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in _MODELS:
            workdir = pathlib.Path(folder) / name
            flags = (f"--model={name}", f"--epochs={_EPOCHS}", "--patience=0")
            program.parse(train.FLAGS, ["train", *flags, f"--workdir={workdir}"])
            best_possible = train.main()["best_possible"]["validation"]["auc"]
            curves[name] = validation_auc(Run(workdir))
    print(json.dumps(curves))
    draw(curves, best_possible)


def validation_auc(run: Run) -> list[float]:
    """The validation AUC after each epoch of a run."""
    lines = run.read_metrics()
    return [line["validation"]["auc"] for line in lines if "validation" in line]


def draw(curves: dict[str, list[float]], best_possible: float) -> None:
    """Writes the picture of curves by model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.axhline(best_possible, color="black", linestyle="--", linewidth=1)
    axes.annotate(
        f"best possible, {best_possible:.3f}",
        (1, best_possible),
        xytext=(0, -13),
        textcoords="offset points",
    )
    for name, values in curves.items():
        epochs = range(1, len(values) + 1)
        (line,) = axes.plot(epochs, values, marker="o", markersize=4)
        axes.annotate(
            _MODELS[name],
            (len(values), values[-1]),
            xytext=(10, 0),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation AUC")
    axes.set_xticks(range(1, _EPOCHS + 1))
    axes.set_xlim(0.8, 1.45 * _EPOCHS)  # room for the names
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE)


if __name__ == "__main__":
    main()
