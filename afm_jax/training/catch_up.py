"""Table rows that rested catch up with the updates that they missed, in closed form.

A row update leaves alone the table rows that its batch does not use. On whole tables Adam
would move them: their momentum goes on, and AdamW's decay shrinks them. So a table row
that is used again after a rest of the updates t0 < t <= t1, s of them, first makes up for
them. With the numbers of `training.resting`, where a is the decay of m and b^2 that of v,

    m' = a^s m      v' = b^2s v      w' = q w - m S      q = prod_t (1 - shrink_t)

S is a sum over the rest. Its terms, without the shrinking since, are

    n_t / (sqrt(v) h_t + 1)    n_t = near_t a^(t - t0 - 1)    h_t = near_t / far_t b^(t - t0 - 1)

Three sums are differences of entries of tables over the updates of an epoch, which
`training.missed_updates` makes:

    A = sum n_t / h_t      B = sum n_t      C = sum n_t h_t

S is a mean, by the weights n_t, of 1 / (sqrt(v) h + 1). It is taken as

    S = B / (z - (C / B - B / A) sqrt(v) (z - 1) / z)      z = sqrt(v) C / B + 1

This is exact for v = 0, for large v, and where all h_t are equal. Elsewhere its error is of
the third order in the spread of h_t, which is largest in the first updates of a run.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from afm_jax.errors import InputError
from afm_jax.training import leaves, missed_updates
from afm_jax.training import state as states
from afm_jax.training.resting import Law, Resting, find
from afm_jax.training.state import TrainState
from afm_jax.training.task import Task

_CHUNK = 8192
"""Table rows that catch up at once at the end of an epoch."""


def of(task: Task, params: Any) -> Resting | None:
    """How table rows catch up under a task; None if they need not, or cannot.

    They need not where whole tables are updated, or an optimizer leaves resting table rows
    as they are. They cannot where `training.resting` does not know what it does.

    Args:
        task: what is trained.
        params: the model's parameters, of which only names and dtypes matter.
    """
    if task.table_update != "rows":
        return None
    found = find(task.tx, params)
    if isinstance(found, str) or not any(law.moves for law in found.laws):
        return None
    return found


def begin(resting: Resting | None, state: TrainState, steps: int) -> TrainState:
    """The state before so many row updates by `steps.make_train_step`; `end` follows them.

    Args:
        resting: of the optimizer, see `of`; for None the state stays as it is.
        state: whose table rows are all up to date, on one device.
        steps: number of updates.

    Raises:
        InputError: no `end` has followed the last `begin`; or as
            `missed_updates.of_epoch`.
    """
    if resting is None:
        return state
    if state.missed is not None:
        raise InputError(
            "`catch_up.begin` again before `catch_up.end` would forget what table rows missed; end the updates that it began first."
        )
    joined = state.scalar_tables is not None
    state, start = states.split_scalar_tables(state), states.steps_made(state)
    state = state._replace(
        last_use=states.up_to_date(state.params),
        missed=missed_updates.of_epoch(resting, state, start, start + steps),
    )
    return states.join_scalar_tables(state) if joined else state


def catch_up(resting: Resting, state: TrainState) -> TrainState:
    """The state after table rows made up for what they missed since their `last_use`.

    Args:
        resting: of the optimizer, see `of`.
        state: with `last_use` and `missed`, and scalar tables apart; of all table rows, or
            of some.
    """
    assert state.last_use is not None
    since, now = state.last_use["table"][:, 0], state.step - state.missed.start
    sums = state.missed.sums
    begins, ends = sums[since.astype(jnp.int32)], sums[now]
    rest = now.astype(since.dtype) - since
    found = [
        _Rest.of(law, begins[:, i], ends[i], rest) for i, law in enumerate(resting.laws)
    ]
    # Else they would be found anew for each number of a table row.
    found = jax.lax.optimization_barrier(found)
    params, opt_state = (leaves.by_name(t) for t in (state.params, state.opt_state))
    for table, place in resting.law_of.items():
        names = resting.mirrors[table]
        mirrors = [opt_state[name] for name in names]
        params[table] = _moved(
            resting.laws[place], found[place], params[table], mirrors
        )
        for name, mirror, decay in zip(
            names, mirrors, found[place].decays, strict=True
        ):
            opt_state[name] = _by_row(decay, mirror) * mirror
    return state._replace(
        params=_like(state.params, params),
        opt_state=_like(state.opt_state, opt_state),
        last_use={"table": jnp.full_like(state.last_use["table"], now)},
    )


def end(resting: Resting | None, state: TrainState, *, shards: int = 1) -> TrainState:
    """The state after an epoch: all table rows have caught up, in one pass over the tables.

    Args:
        resting: of the optimizer, see `of`; for None the state stays as it is.
        state: in any layout, `begin` and some updates behind it.
        shards: number of equal parts by rows that a table lies in, on as many devices.
    """
    if resting is None:
        return state
    is_one = states.tables(state)
    (last_use,) = jax.tree.leaves(state.last_use)
    length = last_use.shape[0] // shards
    size = min(_CHUNK, length)

    def update(i, whole):
        # The last chunk begins earlier, with table rows that are up to date.
        start = jnp.minimum(i * size, length - size)
        done = start + jnp.arange(size) < i * size

        def take(leaf, one):
            if not one:
                return leaf
            part = jax.lax.dynamic_slice_in_dim(leaf, start, size, axis=1)
            return part.reshape(shards * size, *leaf.shape[2:])

        def put(leaf, part, one):
            if not one:
                return leaf
            part = part.reshape(shards, size, *leaf.shape[2:])
            return jax.lax.dynamic_update_slice_in_dim(leaf, part, start, axis=1)

        # Taken before any is put back; else XLA copies whole tables.
        part = jax.lax.optimization_barrier(jax.tree.map(take, whole, is_one))
        part = _all_of(resting, part, jnp.tile(done, shards))
        return jax.tree.map(put, whole, part, is_one)

    def split(leaf, one):
        return leaf.reshape(shards, length, *leaf.shape[1:]) if one else leaf

    def merge(leaf, one):
        return leaf.reshape(shards * length, *leaf.shape[2:]) if one else leaf

    whole = jax.tree.map(split, state, is_one)
    whole = jax.lax.fori_loop(0, -(-length // size), update, whole)
    return jax.tree.map(merge, whole, is_one)._replace(missed=None)


def _all_of(resting: Resting, part: TrainState, done: jax.Array) -> TrainState:
    """Some table rows at the end of an epoch, up to date already where `done`, bool [U]."""
    joined = part.scalar_tables is not None
    part = states.split_scalar_tables(part)
    assert part.last_use is not None
    assert part.missed is not None
    since = part.last_use["table"]
    now = (part.step - part.missed.start).astype(since.dtype)
    since = jnp.where(done[:, None], now, since)
    part = catch_up(resting, part._replace(last_use={"table": since}))
    part = part._replace(last_use={"table": jnp.zeros_like(since)})
    return states.join_scalar_tables(part) if joined else part


class _Rest(NamedTuple):
    """What a rest does to a table row; float32 [U] each.

    Attributes:
        decays: of each state that mirrors the table, in the law's order.
        q: as above.
        moves: bool [U], whether S is above 0.
        near, slope, bend: numbers of S = line / (line^2 - bend v), where line = near +
            slope sqrt(v).
    """

    decays: tuple[jax.Array, ...]
    q: jax.Array
    moves: jax.Array
    near: jax.Array
    slope: jax.Array
    bend: jax.Array

    @classmethod
    def of(
        cls, law: Law, begins: jax.Array, ends: jax.Array, rest: jax.Array
    ) -> "_Rest":
        """Of rests that begin and end at these entries of `Missed.sums`."""
        q = jnp.exp(ends[3] - begins[:, 3]) if law.shrinks else jnp.ones_like(rest)
        # Not a quotient of powers, of which both may be 0.
        A, B, C = (
            q * begins[:, i] - _power(decay, rest) * ends[i]
            for i, decay in enumerate((law.a / law.b, law.a, law.a * law.b))
        )
        moves = (A != 0) & (B != 0) if law.has_eps else A != 0
        A = jnp.where(moves, A, 1)
        if law.has_eps:
            near = 1 / jnp.where(moves, B, 1)
            slope = C * near * near
            bend = slope * (slope - 1 / A)
        else:
            near, slope, bend = jnp.zeros_like(A), 1 / A, jnp.zeros_like(A)
        decays = tuple(_power(decay, rest) for decay in law.decays)
        return cls(decays, q, moves, near, slope, bend)


def _power(decay: float, rest: jax.Array) -> jax.Array:
    """decay^rest, [U]; 0^0 is 1."""
    if decay == 0:
        return (rest == 0).astype(rest.dtype)
    return jnp.exp(rest * math.log(decay))


def _moved(
    law: Law, rest: _Rest, table: jax.Array, mirrors: list[jax.Array]
) -> jax.Array:
    """w' of the table rows."""
    kept = _by_row(rest.q, table) * table if law.shrinks else table
    if law.first is None:
        return kept
    moves, near, slope, bend = (
        _by_row(each, table) for each in (rest.moves, rest.near, rest.slope, rest.bend)
    )
    v = jnp.zeros_like(table) if law.second is None else mirrors[law.second]
    line = jnp.sqrt(v) * slope + near
    below = line * line - bend * v
    if not law.has_eps:
        moves = moves & (v > 0)
        below = jnp.where(moves, below, 1)
    return kept - jnp.where(moves, mirrors[law.first] * line / below, 0)


def _by_row(numbers: jax.Array, leaf: jax.Array) -> jax.Array:
    """Numbers [U], one for each row of the leaf [U, ...]."""
    return numbers.reshape(-1, *(1,) * (leaf.ndim - 1))


def _like(tree: Any, named: dict[str, Any]) -> Any:
    """The tree with these leaves, in its order."""
    return jax.tree.unflatten(jax.tree.structure(tree), [*named.values()])
