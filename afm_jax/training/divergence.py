"""What to say of numbers that are not finite: damaged data, or a model that diverged."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Batch
from afm_jax.training import state as states
from afm_jax.training.feed import Batches
from afm_jax.training.state import TrainState
from afm_jax.training.task import Task


@dataclasses.dataclass(frozen=True)
class Divergence:
    """Explains a loss or logits that are not finite.

    Attributes:
        task: what is trained.
        splits: the data.
        last_saved: gives the step of the newest checkpoint, or None.
    """

    task: Task
    splits: Mapping[str, Batches]
    last_saved: Callable[[], int | None]

    def of_loss(self, loss: float, step: int, state: TrainState) -> InputError:
        """The error to raise for the loss of a step, from 0."""
        train = self.splits["train"]
        batch = train.batch(*divmod(step, train.steps_per_epoch))
        damage = self._damage("train", [batch])
        return damage or self._diverged(f"The loss is {loss}", step, state)

    def of_logits(self, problem: str, split: str, state: TrainState) -> InputError:
        """The error to raise for the logits of a split, of which `problem` is a sentence."""
        batches = self.splits[split].batches(0, transform=lambda batch: batch)
        with contextlib.closing(batches):
            damage = self._damage(split, batches)
        what = f"On the {split} split {problem.removesuffix('.')}"
        return damage or self._diverged(what, states.steps_made(state) - 1, state)

    def _damage(self, split: str, batches: Iterable[Batch]) -> InputError | None:
        num_ids = self.task.model.vocab_size
        for batch in batches:
            ids = np.asarray(batch.features.ids)
            wrong = ids[(ids < 0) | (ids >= num_ids)]
            if wrong.size:
                return InputError(
                    f"The {split} split has a feature id {wrong[0]}, outside [0, {num_ids}): the data are damaged; prepare them again."
                )
        return None

    def _diverged(self, what: str, step: int, state: TrainState) -> InputError:
        where = f"{what} at step {step}"
        rate = self.task.learning_rate_at(step)
        if rate is not None:
            scale = float(np.ravel(state.learning_rate_scale)[0])
            where += f", learning rate {rate * scale:g}"
        saved = self.last_saved()
        last = "there is none yet" if saved is None else f"step {saved}"
        return InputError(
            f"{where}; last checkpoint: {last}. Try a smaller learning rate, or clip the gradient (clip_norm)."
        )
