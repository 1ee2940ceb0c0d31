"""Table rows that catch up are where updates of whole tables would have brought them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import samples

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import Batch
from afm_jax.training import catch_up, missed_updates, optimizers, resting, state, steps
from afm_jax.training.task import Task

STEPS, ROWS = 600, 60
WARM_UP = optimizers.make_schedule("cosine", 1e-2, warmup_steps=100, total_steps=STEPS)
NO_EPS = 1e-30  # 0 would make 0 / 0 of rows that have had no gradient yet
ONE_EPOCH, PLATEAU = ((STEPS, 1.0),), ((150, 1.0), (150, 0.1), (300, 0.01))


def gradients(scale):
    """Of each row, [STEPS, ROWS], and whether it is used; rests are of 1 to 250 steps."""
    rng = np.random.default_rng(0)
    used = np.zeros((STEPS, ROWS), bool)
    for row in range(ROWS):
        step = rng.integers(0, 3)
        while step < STEPS:
            used[step, row] = True
            step += rng.integers(1, 251)
    return used, np.where(used, scale * rng.normal(size=used.shape), 0)


def tree(column):
    return {"embedding": {"table": column}}


def whole_tables(tx, start, grads, scales):
    """Where every row ends, and the length of its path; in float64."""

    def update(carry, given):
        params, opt_state, path = carry
        moved, opt_state = tx.update(tree(given[0][:, None]), opt_state, params)
        moved = jax.tree.map(lambda u: u * given[1], moved)
        path += jnp.abs(moved["embedding"]["table"])
        return (optax.apply_updates(params, moved), opt_state, path), None

    with jax.enable_x64(True):
        params = tree(jnp.asarray(start, jnp.float64))
        carry = params, tx.init(params), jnp.zeros_like(params["embedding"]["table"])
        given = jnp.asarray(grads, jnp.float64), jnp.asarray(scales, jnp.float64)
        (params, _, path), _ = jax.jit(lambda *a: jax.lax.scan(update, *a))(
            carry, given
        )
        return np.asarray(params["embedding"]["table"]), np.asarray(path)


def by_rows(tx, start, used, grads, epochs):
    """Where rows end that are updated when they are used, and catch up."""
    params = tree(jnp.asarray(start, jnp.result_type(float)))
    laws = resting.find(tx, params)
    assert not isinstance(laws, str)

    def update(run, given):
        used, grads = given
        rested = catch_up.catch_up(laws, run)
        moved, opt_state = tx.update(
            tree(grads[:, None]), rested.opt_state, rested.params
        )
        moved = jax.tree.map(lambda u: u * run.learning_rate_scale, moved)
        new = rested._replace(
            params=optax.apply_updates(rested.params, moved),
            opt_state=opt_state,
            last_use={"table": rested.last_use["table"] + 1},
        )

        def choose(old, new):
            return jnp.where(used[:, None], new, old) if new.ndim == 2 else new

        fields = "params", "opt_state", "last_use"
        chosen = {
            f: jax.tree.map(choose, getattr(run, f), getattr(new, f)) for f in fields
        }
        return run._replace(step=run.step + 1, **chosen), None

    @jax.jit
    def epoch(run, given):
        return catch_up.end(laws, jax.lax.scan(update, run, given)[0])

    run = state.TrainState(
        jnp.zeros((), jnp.int32), params, {}, tx.init(params), 1.0, None, None, None
    )
    first = 0
    for length, scale in epochs:
        last = first + length
        run = run._replace(
            learning_rate_scale=jnp.asarray(scale),
            last_use=state.up_to_date(params),
        )
        run = run._replace(missed=missed_updates.of_epoch(laws, run, first, last))
        given = used[first:last], jnp.asarray(grads[first:last], jnp.result_type(float))
        run, first = epoch(run, given), last
    return np.asarray(run.params["embedding"]["table"])


def error(tx, *, gradient=1.0, epochs=ONE_EPOCH, x64=False):
    """The largest distance of a row to where it should be, over the length of its path."""
    used, grads = gradients(gradient)
    start = np.random.default_rng(1).normal(0, 0.01, (ROWS, 1))
    scales = np.concatenate([np.full(length, scale) for length, scale in epochs])
    right, path = whole_tables(tx, start, grads, scales)
    with jax.enable_x64(x64):
        found = by_rows(tx, start, used, grads, epochs)
    return float((np.abs(found - right) / path).max())


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(
    ("rate", "epochs"),
    [(1e-3, ONE_EPOCH), (WARM_UP, ONE_EPOCH), (1e-2, PLATEAU)],
    ids=["constant", "warm-up", "plateau"],
)
def test_without_eps_rows_end_where_whole_tables_would(rate, epochs, decay):
    tx = optax.adamw(rate, eps=NO_EPS, weight_decay=decay)
    assert error(tx, epochs=epochs, x64=True) < 1e-10


@pytest.mark.parametrize("eps", [NO_EPS, 1e-8])
def test_in_float32_only_rounding_is_left(eps):
    tx = optax.adamw(WARM_UP, eps=eps, weight_decay=0.1)
    assert error(tx) < 1e-5


@pytest.mark.parametrize(
    ("gradient", "bound"),
    [(1e-3, 1e-4), (1e-5, 1e-3), (1e-7, 5e-3), (1e-9, 5e-4)],
)
def test_gradients_near_eps_leave_a_small_error(gradient, bound):
    assert error(optax.adam(1e-3), gradient=gradient) < bound


@pytest.mark.parametrize(
    ("tx", "bound"),
    [
        (optax.sgd(WARM_UP, momentum=0.9), 1e-10),
        (optax.sgd(0.1, momentum=0.9, nesterov=True), 1e-10),
        (optax.rmsprop(1e-3), 1e-10),
        (optax.nadamw(WARM_UP, weight_decay=0.1), 1e-8),
        (optax.yogi(1e-3), 1e-3),  # whose eps is large
    ],
    ids=["momentum", "nesterov", "rmsprop", "nadamw", "yogi"],
)
def test_other_optimizers_catch_up_too(tx, bound):
    assert error(tx, x64=True) < bound


@pytest.mark.parametrize(("b1", "b2", "rest"), [(0.9, 0.99, 20_000), (0.5, 0.9, 2_000)])
def test_the_longest_rest_is_the_whole_path(b1, b2, rest):
    # b2^(rest / 2) is no number of float32 any more.
    params = tree(np.zeros((1, 1), np.float32))
    tx = optax.adam(1.0, b1=b1, b2=b2)
    ones = jax.tree.map(np.ones_like, params)
    opt_state = jax.tree.map(
        lambda leaf: leaf if leaf.ndim else leaf + 50,
        tx.update(ones, tx.init(params))[1],
    )
    laws = resting.find(tx, params)
    run = state.TrainState(50, params, {}, opt_state, 1.0, None, None, None)
    run = run._replace(last_use=state.up_to_date(params))
    run = run._replace(missed=missed_updates.of_epoch(laws, run, 50, 50 + 2 * rest))
    short, long = (
        rested(run, laws, 50 + each).params["embedding"]["table"]
        for each in (1_000, rest)
    )
    assert np.abs(short).min() > 0.1
    np.testing.assert_allclose(long, short, rtol=1e-4)


def rested(run, laws, step):
    return catch_up.catch_up(laws, run._replace(step=jnp.asarray(step, jnp.int32)))


def test_two_rests_are_one():
    tx = optax.adamw(WARM_UP, eps=NO_EPS, weight_decay=0.1)
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        params = tree(jnp.asarray(rng.normal(size=(ROWS, 1))))
        laws = resting.find(tx, params)
        opt_state = jax.tree.map(
            lambda leaf: leaf + rng.uniform(size=leaf.shape) if leaf.ndim else leaf,
            tx.init(params),
        )
        run = state.TrainState(
            0, params, {}, opt_state, 1.0, None, None, None
        )._replace(last_use=state.up_to_date(params))
        run = run._replace(missed=missed_updates.of_epoch(laws, run, 0, STEPS))
        once = rested(run, laws, 300)
        twice = rested(rested(run, laws, 120), laws, 300)
        for one, other in (
            (once.params, twice.params),
            (once.opt_state, twice.opt_state),
        ):
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, rtol=1e-10), one, other
            )
        moved = once.params["embedding"]["table"] - params["embedding"]["table"]
        assert np.abs(moved).min() > 1e-4


def test_a_row_update_needs_to_know_what_rows_missed():
    model = models.make("fm", **samples.data_hyperparameters("full"))
    task = Task(model, learning_rate=1e-3)
    features = samples.random_features("full", seed=0, num_rows=8)
    batch = Batch(features, np.zeros(8, np.float32), np.ones(8, np.float32))
    run = samples.random_state(model, task.tx, features)
    with pytest.raises(InputError, match=r"`training\.catch_up\.begin`") as caught:
        jax.eval_shape(steps.make_train_step(task), run, batch)
    assert "\n" not in str(caught.value)
    begun = catch_up.begin(catch_up.of(task, run.params), run, 5)
    jax.eval_shape(steps.make_train_step(task), begun, batch)


def test_a_loop_of_ones_own_makes_the_updates_that_it_told_of():
    model = models.make("fm", **samples.data_hyperparameters("full"))
    task = Task(model, learning_rate=1e-3)
    features = samples.random_features("full", seed=0, num_rows=8)
    batch = Batch(features, np.zeros(8, np.float32), np.ones(8, np.float32))
    laws = catch_up.of(task, samples.random_state(model, task.tx, features).params)
    run = catch_up.begin(laws, samples.random_state(model, task.tx, features), 2)
    step = jax.jit(steps.make_train_step(task))
    with pytest.raises(InputError, match=r"before `catch_up\.end`"):
        catch_up.begin(laws, run, 2)
    losses = []
    for _ in range(3):
        run, metrics = step(run, batch)
        losses.append(float(metrics["loss"]))
    assert [*np.isfinite(losses)] == [True, True, False]


def test_a_decay_that_undoes_every_parameter_is_refused():
    params = tree(np.zeros((1, 1), np.float32))
    # The first updates, at which laws are tried, are right.
    rate = optax.join_schedules(
        [optax.constant_schedule(0.1), optax.constant_schedule(20.0)], [600_000]
    )
    laws = resting.find(optax.adamw(rate, weight_decay=0.1), params)
    run = state.TrainState(0, params, {}, None, 1.0, None, None, None)
    with pytest.raises(InputError, match="reaches 1"):
        missed_updates.of_epoch(laws, run, 599_990, 600_010)


@pytest.mark.parametrize(
    "rate",
    [
        lambda t: jnp.where((t > 650) & (t < 700), -1e-3, 1e-3),
        lambda t: jnp.where((t > 650) & (t < 700), 1e-3, 0.0),
    ],
    ids=["below 0", "elsewhere 0"],
)
def test_what_an_optimizer_did_not_do_when_it_was_tried_is_refused(rate):
    params = tree(np.zeros((1, 1), np.float32))
    laws = resting.find(optax.adam(rate), params)
    run = state.TrainState(0, params, {}, None, 1.0, None, None, None)
    missed_updates.of_epoch(laws, run, 0, 600)
    with pytest.raises(InputError, match=r"In step 651.*'dense'") as caught:
        missed_updates.of_epoch(laws, run, 600, 1200)
    assert "\n" not in str(caught.value)


def test_a_decay_faster_than_that_of_momentum_is_refused_where_sums_would_cancel():
    params = tree(np.zeros((1, 1), np.float32))
    run = state.TrainState(0, params, {}, None, 1.0, None, None, None)
    laws = resting.find(optax.adamw(0.1, weight_decay=1.5), params)
    missed_updates.of_epoch(laws, run, 0, 100)
    with pytest.raises(InputError, match="faster than momentum"):
        missed_updates.of_epoch(laws, run, 0, 1000)
