"""What an optimizer does to a table row whose gradient is zero, found by trying it.

A table row that no row of a batch uses rests: its gradient is zero. Momentum still moves
it, and weight decay shrinks it. An optax transformation does not tell how. So it is tried
on tables of one number, and what it answers is compared with a law:

    x' = decay_x x                      for every state x that mirrors the table
    w' = (1 - shrink_t) w - m / (sqrt(v) / far_t + 1 / near_t)

Here m and v are two of these states before update t. A row moves by far_t m / sqrt(v) where
v is far above Adam's eps, and by near_t m where it is 0. Adam, AdamW and NAdam keep this
law, momentum does without v, and RMSProp and Adagrad without m. `training.catch_up` adds
such updates up.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from afm_jax.errors import InputError
from afm_jax.training.optimizer_trial import Trial

_COUNTS = (*range(8), *(round(2 ** (n / 6)) - 1 for n in range(19, 115)))
"""Updates made before those at which a law is compared with the optimizer. They are close
to one another, since a learning rate may be 0 at most of them."""

_REPEATS = 8
"""Comparisons at each of them."""

_FAR = 1e30
"""A v beside which no eps, and no penalty in the gradient, matters."""


_LEAST = 1e-20
"""A smaller rate, as at the end of an exponential decay, moves nothing, and float32 has it
inexactly or not at all."""


class Law(NamedTuple):
    """How the rows of a table rest.

    Attributes:
        decays: of the states that mirror the table, in the order of the optimizer's state.
        first: the place of m among them; None if no state moves a row.
        second: the place of v among them; None if there is none.
        has_eps: whether 1 / near_t is above 0.
        shrinks: whether shrink_t is.
    """

    decays: tuple[float, ...]
    first: int | None = None
    second: int | None = None
    has_eps: bool = True
    shrinks: bool = False

    @property
    def a(self) -> float:
        """The decay of m; 1 without one."""
        return 1.0 if self.first is None else self.decays[self.first]

    @property
    def b(self) -> float:
        """The square root of the decay of v; 1 without one."""
        return 1.0 if self.second is None else self.decays[self.second] ** 0.5

    @property
    def moves(self) -> bool:
        """Whether anything of a table row changes while it rests."""
        moved = self.first is not None or self.shrinks
        return moved or any(decay != 1 for decay in self.decays)


class Rates(NamedTuple):
    """The rates of N updates under a law; float64 [N] each, as above."""

    far: np.ndarray
    near: np.ndarray
    shrink: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Resting:
    """The laws of an optimizer.

    Attributes:
        laws: the laws; tables that rest alike share one.
        law_of: the place of its law, by the name of a table among the parameters.
        mirrors: the names (of `leaves.by_name`) of the optimizer's states that mirror it,
            likewise.
    """

    laws: tuple[Law, ...]
    law_of: dict[str, int]
    mirrors: dict[str, list[str]]
    _trial: Trial

    def rates(self, first: int, last: int) -> list[Rates]:
        """Under each law, of the updates that `first` to `last` - 1 others precede.

        Raises:
            InputError: one of them moves table rows that a law leaves where they are, or
                has a learning rate below 0.
        """
        tables = {place: table for table, place in self.law_of.items()}
        counts = np.arange(first, last)
        found = []
        for place, law in enumerate(self.laws):
            table = tables[place]
            rates = _rates(self._trial, table, law.first, law.second, counts)
            unlike = (rates.far < 0) | (rates.near < 0)
            if law.first is None:
                ones = np.ones((counts.size, self._trial.width))
                unlike = self._trial.run(counts, ones).moved[table] != 0
            if unlike.any():
                step = first + int(np.flatnonzero(unlike)[0])
                raise InputError(
                    f"In step {step}, the optimizer moves table rows of {table} that rest in a way that it did not when it was tried; is the learning rate below 0, or 0 for most of the time? Train with table_update='dense'."
                )
            found.append(rates)
        return found


def find(tx: optax.GradientTransformation, params: Any) -> Resting | str:
    """The laws of an optimizer; or, in words, why it has none.

    Args:
        tx: the optimizer.
        params: a tree of parameters, of which only names, dtypes and numbers of axes
            matter.
    """
    arrays, structure = jax.tree.flatten(jax.eval_shape(lambda tree: tree, params))
    forms = tuple(((1,) * leaf.ndim, np.dtype(leaf.dtype).name) for leaf in arrays)
    return _find(tx, structure, forms)


@functools.lru_cache
def _find(
    tx: optax.GradientTransformation, structure: Any, forms: tuple[Any, ...]
) -> Resting | str:
    """As `find`; found once, however often a step is traced."""
    params = jax.tree.unflatten(structure, [np.zeros(*form) for form in forms])
    trial = Trial(tx, params)
    counts = np.array(_COUNTS)
    ones = np.ones((counts.size, trial.width))
    if trial.others:
        return (
            f"the optimizer's state {trial.others[0]} is of another type than its table"
        )
    if not trial.run(counts, ones, number=1.0, gradient=1.0).counted.all():
        return "the optimizer's state is more than a count of updates and what mirrors tables"
    found: dict[tuple[Law, bytes, tuple[str, ...]], int] = {}
    law_of = {}
    for table, names in trial.mirrors.items():
        laws = (_law(trial, table, *roles) for roles in _roles(len(names)))
        law = next((each for each in laws if each is not None), None)
        if law is None:
            return f"no closed form is known for what the optimizer does to table rows of {table} without a gradient"
        rates = _rates(trial, table, law.first, law.second, counts)
        # Under another part of a `multi_transform`, rates may differ at other counts.
        parts = tuple(name.removesuffix(table) for name in names)
        key = law, np.stack(rates).tobytes(), parts
        law_of[table] = found.setdefault(key, len(found))
    return Resting(tuple(law for law, *_ in found), law_of, trial.mirrors, trial)


def _roles(mirrors: int) -> Iterator[tuple[int | None, int | None]]:
    """Which state may be m, and which v: the simplest first."""
    yield None, None
    for first in range(mirrors):
        yield first, None
    yield from itertools.permutations(range(mirrors), 2)


def _law(trial: Trial, table: str, first: int | None, second: int | None) -> Law | None:
    """The law with these states as m and v, if the table keeps it."""
    counts = np.repeat(np.array(_COUNTS), _REPEATS)
    rng = np.random.default_rng(0)
    states = 10 ** rng.uniform(-6, 2, (counts.size, trial.width))
    if first is not None:
        states[:, first] = rng.normal(0, 1, counts.size)
    if second is not None:
        states[:, second] = 10 ** rng.uniform(-18, 4, counts.size)
    states = states.astype(trial.dtype).astype(np.float64)
    tried = trial.run(counts, states)
    decays = _decays(trial, table)
    after = states[:, : decays.size] * decays
    if not np.allclose(tried.mirrors[table], after, rtol=1e-5, atol=0):
        return None
    far, near = _moves(trial, table, first, second, counts)
    expected, some = np.zeros(counts.size), np.ones(counts.size, bool)
    if first is not None:
        root = 0.0 if second is None else np.sqrt(states[:, second])
        with np.errstate(all="ignore"):
            expected = -states[:, first] / (root / far + 1 / near)
        some = (far != 0) & (near != 0)
    if not np.allclose(tried.moved[table][some], expected[some], rtol=1e-4, atol=0):
        return None
    shrink, twice = (
        _shrink(trial, table, first, second, counts, number) for number in (1.0, 2.0)
    )
    linear = np.allclose(twice, 2 * shrink, rtol=1e-4, atol=1e-12)
    if not linear or (far < 0).any() or (near < 0).any() or (shrink >= 1).any():
        return None
    eps = _has_eps(near, far)
    law = Law(tuple(decays.tolist()), first, second, eps, bool(shrink.any()))
    if second is None:
        return law
    # Else a row still moves by m / sqrt(v) when v has come down to eps.
    decays_first = law.a < law.b and law.a <= law.b**2
    return law if decays_first and _alike(near, far) else None


def _rates(
    trial: Trial,
    table: str,
    first: int | None,
    second: int | None,
    counts: np.ndarray,
) -> Rates:
    """The rates of updates that so many others precede."""
    moves = _moves(trial, table, first, second, counts)
    return Rates(*moves, _shrink(trial, table, first, second, counts, 1.0))


def _moves(
    trial: Trial,
    table: str,
    first: int | None,
    second: int | None,
    counts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """far and near."""
    if first is None:
        return np.zeros(counts.size), np.zeros(counts.size)
    states = np.zeros((counts.size, trial.width))
    states[:, first] = 1
    near = -trial.run(counts, states).moved[table]
    if second is None:
        far = near
    else:
        states[:, second] = _FAR
        far = -trial.run(counts, states).moved[table] * np.sqrt(_FAR)
    lost = np.abs(far) < _LEAST
    return np.where(lost, 0.0, far), np.where(lost, 0.0, near)


def _shrink(
    trial: Trial,
    table: str,
    first: int | None,
    second: int | None,
    counts: np.ndarray,
    number: float,
) -> np.ndarray:
    """What an update takes off a number, without what a penalty in the gradient takes.

    Row updates confine such a penalty to the rows of the batch. Beside a large v it comes
    to nothing. Without v, it is told by what it adds to m; without a state, not at all.
    """
    if not trial.mirrors[table]:
        return np.zeros(counts.size)
    states = np.full((counts.size, trial.width), _FAR)
    if first is not None:
        states[:, first] = 0
    tried = trial.run(counts, states, number=number)
    taken, rounding = -tried.moved[table], np.full(counts.size, 1e-12)
    if first is not None and second is None:
        near, _ = _moves(trial, table, first, None, counts)
        rounding += 1e-5 * np.abs(taken)
        with np.errstate(all="ignore"):  # it may not decay, but vanish
            added = tried.mirrors[table][:, first] / _decays(trial, table)[first]
            taken -= near * added
    return np.where(np.abs(taken) < rounding, 0.0, taken)


def _decays(trial: Trial, table: str) -> np.ndarray:
    """What an update leaves of states of 1."""
    ones = np.ones((1, trial.width))
    return trial.run(np.zeros(1, np.int64), ones).mirrors[table][0]


def _has_eps(near: np.ndarray, far: np.ndarray) -> bool:
    """Whether there is an eps that a v above the smallest numbers does not hide."""
    some = far > 0
    return bool(np.isfinite(near).all() and (near[some] < 1e16 * far[some]).all())


def _alike(near: np.ndarray, far: np.ndarray) -> bool:
    """Whether v counts in all updates about as much; RAdam's first ones leave it out."""
    some = (far > 0) & np.isfinite(near)
    ratios = near[some] / far[some]
    return not ratios.size or float(ratios.max() / ratios.min()) < 1e4
