"""How long to train: the options of a run, where it stands, and how fast it is."""

import dataclasses
from collections.abc import Mapping

from afm_jax.errors import InputError, check_one_of
from afm_jax.training.best import MONITORS

BASE_LOGITS = ("auto", "0")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to train.

    Attributes:
        epochs: passes over the training rows, at most.
        loss: name of the loss, see `ops.losses`.
        table_update: 'rows' or 'dense', see `training.steps`.
        compute_dtype: 'float32' or 'bfloat16', see `training.steps`.
        monitor: the validation metric that tells the best epoch, of `best.MONITORS`.
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

    Raises:
        InputError: a number is out of range, a name is unknown, or the monitored metric
            is not measured under this loss.
    """

    epochs: int
    loss: str = "sigmoid_cross_entropy"
    table_update: str = "rows"
    compute_dtype: str = "float32"
    monitor: str = "auc"
    patience: int = 0
    plateau_factor: float = 1.0
    checkpoint_every: int = 0
    data_placement: str = "auto"
    log_every: int = 100
    base_logit: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_one_of("base_logit", self.base_logit, BASE_LOGITS)
        for name, least in (
            *(("epochs", 1), ("log_every", 1)),
            *(("patience", 0), ("checkpoint_every", 0)),
        ):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} must be {least} or more, found {getattr(self, name)}."
                )
        if self.monitor == "log_loss" and self.loss == "squared_error":
            raise InputError("monitor='log_loss' is not measured under squared_error.")


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
        """Counts an epoch; False if it has the metric, and does not beat the best."""
        self.epochs += 1
        found, sign = metrics[monitor] if metrics else None, MONITORS[monitor]
        if found is None:
            return True
        if self.best is None or sign * found > sign * self.best:
            self.best, self.evaluations_since_best = found, 0
            return True
        self.evaluations_since_best += 1
        return False

    def is_over(self, options: Options) -> bool:
        """Whether the run has trained enough."""
        patience = options.patience
        tired = patience and self.evaluations_since_best >= patience
        return bool(self.epochs >= options.epochs or tired)


class Clock:
    """Rows trained a second, without compilation and the process's first step."""

    def __init__(self) -> None:
        self.warm = False
        self._rows = 0
        self._seconds = 0.0

    def add(self, rows_trained: int, seconds: float) -> None:
        self._rows += rows_trained
        self._seconds += seconds

    def rate(self) -> float | None:
        return round(self._rows / self._seconds) if self._rows else None
