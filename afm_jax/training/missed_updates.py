"""What table rows miss while they rest: sums over the updates of an epoch.

`training.catch_up` has the formulas. With the numbers of `training.resting`, the sums of a
rest that begins after the update t0 are made from those to the epoch's end, such as

    A(t0) = sum_(t > t0) far_t (a / b)^(t - t0 - 1) / prod_(t0 < j <= t) (1 - shrink_j)

Those of a rest that ends after t1 are q A(t0) - (a / b)^(t1 - t0) A(t1).
"""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from afm_jax.errors import InputError
from afm_jax.features import Array
from afm_jax.training.resting import Law, Resting
from afm_jax.training.state import TrainState

_MOST_GROWTH = 1e3
"""Of sums, whose differences then have four digits left of the seven of float32."""


class Missed(NamedTuple):
    """Sums over the updates of an epoch, from which those over any rest follow.

    Attributes:
        start: int32 [], updates made before the epoch.
        sums: float32 [S + 1, laws, 4], for the times after 0 to S updates of the epoch:
            A, B and C of a rest from then to its end, and the logarithm of q of one from
            its start to then.
    """

    start: Array
    sums: Array


def of_epoch(resting: Resting, state: TrainState, first: int, last: int) -> Missed:
    """What the row updates of an epoch need to know of all its updates.

    Args:
        resting: of the optimizer, see `catch_up.of`.
        state: in any layout; only its `learning_rate_scale` matters.
        first: updates made before the epoch.
        last: updates made after it.

    Raises:
        InputError: the learning rate times the decay of weights is 1 or more, or so large
            that sums over the epoch cannot be told apart; or as `Resting.rates`.
    """
    # Float32, the type of `last_use`, counts no further.
    if last - first > 1 << 24:
        raise InputError(
            f"Row updates that catch up take at most {1 << 24} steps an epoch, found {last - first}; train with table_update='lazy' or larger batches."
        )
    scale = float(np.ravel(state.learning_rate_scale)[0])
    sums = []
    for law, rates in zip(resting.laws, resting.rates(first, last), strict=True):
        far, near, shrink = (scale * each for each in rates)
        if (shrink >= 1).any():
            raise InputError(
                "The learning rate times the weight decay reaches 1, so that an update would undo every parameter; lower one of them."
            )
        if law.first is not None and _growth(law, 1 - shrink) > _MOST_GROWTH:
            raise InputError(
                "The learning rate times the weight decay is so large that parameters shrink faster than momentum does; lower one of them, or train with table_update='dense'."
            )
        sums.append(_sums(law, far, near, 1 - shrink))
    with np.errstate(over="ignore"):  # the loss will tell
        stacked = np.stack(sums, axis=1).astype(jnp.result_type(float))
    return Missed(np.array(first, np.int32), stacked)


def _growth(law: Law, keep: np.ndarray) -> float:
    """How much larger than the sum over a rest one to the epoch's end may be."""
    return float(np.exp(min(np.maximum(np.log(law.a / law.b / keep), 0).sum(), 80.0)))


def _sums(law: Law, far: np.ndarray, near: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """`Missed.sums` of one table, float64 [S + 1, 4]; `keep` is 1 - shrink."""
    a, b = law.a, law.b
    if not law.has_eps:
        near = np.zeros_like(far)
    with np.errstate(invalid="ignore"):
        mixed = np.where(far > 0, near**2 / far, 0.0)

    def to_the_end(terms, decay):
        """sum_t terms_t decay^(t - t0 - 1) / prod_(t0 < j <= t) keep_j, for every t0."""
        pairs = zip(terms[::-1].tolist(), keep[::-1].tolist(), strict=True)
        found = itertools.accumulate(
            pairs, lambda later, pair: (pair[0] + decay * later) / pair[1], initial=0.0
        )
        return np.array([*found])[::-1]

    logs = np.concatenate([[0.0], np.cumsum(np.log(keep))])
    terms = (far, a / b), (near, a), (mixed, a * b)
    return np.stack([*(to_the_end(*each) for each in terms), logs], axis=1)
