"""How long to train: the options of a run, and where it stands."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from afm_jax.errors import (
    InputError,
    check_one_of,
    check_type,
    number,
    whole_number,
)
from afm_jax.label_kinds import LABEL_KINDS
from afm_jax.ops import metrics as metrics_table
from afm_jax.ops.losses import Loss
from afm_jax.training.feed import PLACEMENTS
from afm_jax.training.run import best

BASE_LOGITS = ("auto", "0")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        epochs: passes over the training rows, at most.
        monitor: the validation metric that tells the best epoch, of `ops.metrics.DIRECTIONS`.
        patience: stop after so many evaluations in a row that are not the best so far;
            0 never stops early.
        plateau_factor: what the learning rate is multiplied by after each such
            evaluation; 1 leaves it.
        checkpoint_every: steps between checkpoints, beside the one after every
            evaluation; 0 for none between.
        data_placement: 'auto', 'host' or 'device', see `training.feed`.
        log_every: steps between lines of the training loss.
        base_logit: 'auto' adds to every logit the constant that fits the training labels
            best, '0' nothing; see `ops.losses.best_constant`.
        seed: of initialisation and dropout.
        tables: tables by name that a fresh run starts from; see `state.put_tables`.

    Raises:
        InputError: a number is out of range, or a name is unknown.
    """

    epochs: int
    monitor: str = "auc"
    patience: int = 0
    plateau_factor: float = 1.0
    checkpoint_every: int = 0
    data_placement: str = "auto"
    log_every: int = 100
    base_logit: str = "auto"
    seed: int = 0
    tables: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_one_of("base_logit", self.base_logit, BASE_LOGITS)
        check_one_of("monitor", self.monitor, metrics_table.DIRECTIONS)
        check_one_of("data_placement", self.data_placement, PLACEMENTS)
        check_type("tables", self.tables, Mapping, "a mapping of names to tables")
        least = {"epochs": 1, "log_every": 1, "patience": 0, "checkpoint_every": 0}
        checked: dict[str, Any] = {
            name: whole_number(name, getattr(self, name), least=fewest)
            for name, fewest in least.items()
        }
        checked["seed"] = whole_number("seed", self.seed, least=0, most=2**32 - 1)
        checked["plateau_factor"] = number(
            "plateau_factor", self.plateau_factor, most=1
        )
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # of NumPy's types, too

    def check_monitor(
        self, loss: Loss, *, groups: bool, label_kind: str = "binary"
    ) -> None:
        """Raises InputError if the monitored metric is not measured.

        Args:
            loss: the loss to train with.
            groups: whether the validation rows are in groups.
            label_kind: what the labels are, of `label_kinds.LABEL_KINDS`.
        """
        metric = metrics_table.METRICS[self.monitor]
        if metric.needs_probabilities and not loss.probabilities:
            raise InputError(
                f"monitor={self.monitor!r} is not measured under {loss.name}."
            )
        if label_kind not in metric.label_kinds:
            measured = [
                name
                for name in metrics_table.DIRECTIONS
                if label_kind in metrics_table.METRICS[name].label_kinds
            ]
            raise InputError(
                f"monitor={self.monitor!r} is not measured of labels that are {LABEL_KINDS[label_kind]}; choose a monitor from {', '.join(measured)}."
            )
        if metric.needs_groups and not groups:
            raise InputError(
                f"monitor={self.monitor!r} needs the groups of the validation rows; name a group field."
            )


@dataclasses.dataclass
class Progress:
    """Where a run stands between its evaluations; saved in checkpoints as JSON.

    Attributes:
        epochs: epochs trained and evaluated.
        best: the best monitored metric so far, or None.
        evaluations_since_best: evaluations in a row since it was reached.
        lines: the crc32 of each line of metrics.jsonl up to here; None in checkpoints
            that were made before these were taken down.
    """

    epochs: int = 0
    best: float | None = None
    evaluations_since_best: int = 0
    lines: list[int] | None = None

    def evaluated(
        self, metrics: Mapping[str, float | None] | None, monitor: str
    ) -> bool:
        """Counts an epoch; False if it has the metric, and is no new best by `run.best`."""
        self.epochs += 1
        found = best.measured(monitor, metrics)
        if found is None:
            return True
        if best.is_better(monitor, found, self.best):
            self.best, self.evaluations_since_best = found, 0
            return True
        self.evaluations_since_best += 1
        return False

    def is_over(self, options: Options) -> bool:
        """Whether the run has trained enough."""
        patience = options.patience
        tired = patience and self.evaluations_since_best >= patience
        return bool(self.epochs >= options.epochs or tired)
