"""A task: what is trained, and what one step of it is. It knows no device and no file."""

import dataclasses
import functools

import optax
from flax import linen as nn

from afm_jax.errors import InputError, check_one_of, check_type, number
from afm_jax.ops import losses
from afm_jax.training import optimizers

TABLE_UPDATES = ("rows", "lazy", "dense")
COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Task:
    """What is trained, and what one step of it is.

    Attributes:
        model: a model of `afm_jax.models`, over the vocabulary of the data.
        loss: the name of a loss of `ops.losses`; a `losses.Loss`; or any function
            (logits [B], labels [B]) -> losses [B], whose logits then are log odds.
        optimizer: the name of an optimizer, see `training.optimizers`, which then takes
            `learning_rate`; or an optax transformation. Unless `table_update` is 'dense', it
            must treat a table row as if there were no others; the first step raises
            InputError if it does not (see `training.rowwise`).
        learning_rate: the learning rate per step, a number or an optax schedule. Beside
            an optax transformation it is only for the record of a run.
        table_update: 'rows' updates the table rows of the batch, at a cost that does
            not depend on vocab_size (see `training.table_rows`), and lets those of earlier
            batches catch up (see `training.catch_up`), so that training is that of 'dense'
            but for penalties on tables; 'lazy' lets them rest; 'dense' updates whole
            tables, as published benchmarks do.
        compute_dtype: 'bfloat16' rounds the operands of `ops.matmul`, the products of
            hidden layers and of cross layers with a matrix; parameters, sums and all
            else stay float32.

    Raises:
        InputError: an argument is of another type, a name is unknown, or the name of an
            optimizer has no learning rate.
    """

    model: nn.Module
    loss: str | losses.Loss | losses.Function = "sigmoid_cross_entropy"
    optimizer: str | optax.GradientTransformation = "adam"
    learning_rate: float | optax.Schedule | None = None
    table_update: str = "rows"
    compute_dtype: str = "float32"

    def __post_init__(self) -> None:
        check_type("model", self.model, nn.Module, "a model, such as of models.make")
        _ = self.made_loss
        kinds = (str, optax.GradientTransformation)
        check_type(
            "optimizer", self.optimizer, kinds, "a name or an optax transformation"
        )
        if self.learning_rate is not None and not callable(self.learning_rate):
            number("learning_rate", self.learning_rate)
        check_one_of("table_update", self.table_update, TABLE_UPDATES)
        check_one_of("compute_dtype", self.compute_dtype, COMPUTE_DTYPES)
        if isinstance(self.optimizer, str):
            if self.learning_rate is None:
                raise InputError(
                    f"optimizer={self.optimizer!r} needs a learning_rate; give one, or an optax transformation that has its own."
                )
            _ = self.tx

    @functools.cached_property
    def made_loss(self) -> losses.Loss:
        """The loss, and what the logits mean that it trains."""
        return losses.make(self.loss)

    @functools.cached_property
    def tx(self) -> optax.GradientTransformation:
        """The optimizer as an optax transformation, the same object each time."""
        if isinstance(self.optimizer, str):
            assert self.learning_rate is not None
            return optimizers.make(self.optimizer, self.learning_rate)
        return self.optimizer

    def learning_rate_at(self, step: int) -> float | None:
        """The learning rate of a step, from 0; None if the optimizer alone knows it."""
        rate = self.learning_rate
        return None if rate is None else float(rate(step) if callable(rate) else rate)
