"""The train step: one update, on whole tables or on the rows of the batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import samples

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import Batch, Features
from afm_jax.ops import losses
from afm_jax.training import catch_up, optimizers, state, steps, table_rows
from afm_jax.training.task import COMPUTE_DTYPES, TABLE_UPDATES, Task


def random_batch(kind="full", *, seed=0, num_rows=8, padding=0):
    features = samples.random_features(kind, seed=seed, num_rows=num_rows)
    rng = np.random.default_rng(seed + 100)
    weights = np.ones(num_rows, np.float32)
    weights[num_rows - padding :] = 0
    return Batch(features, rng.integers(0, 2, num_rows).astype(np.float32), weights)


@functools.cache
def make_model(name="fm", kind="full"):
    settings = {"init_stddev": 0.3, **samples.data_hyperparameters(kind)}
    return models.make(name, **settings)


make_tx = functools.cache(optimizers.make)


def random_state(tx, model=None):
    features = BATCHES[0].features
    return samples.random_state(model or make_model(), tx, features, stddev=0.3)


def make_task(tx, table_update="rows", model=None):
    return Task(model or make_model(), optimizer=tx, table_update=table_update)


@functools.cache
def compiled_step(tx, table_update="rows", model=None):
    return jax.jit(steps.make_train_step(make_task(tx, table_update, model)))


def train(
    batches,
    *,
    tx,
    table_update,
    prepare=lambda batch: batch,
    lay_out=lambda run: run,
):
    run, step = lay_out(random_state(tx)), compiled_step(tx, table_update)
    laws = catch_up.of(make_task(tx, table_update), run.params)
    run = catch_up.begin(laws, run, len(batches))
    values = []
    for batch in batches:
        run, metrics = step(run, prepare(batch))
        values.append(float(metrics["loss"]))
    return run, values


BATCHES = [random_batch(seed=s, padding=s % 3) for s in range(6)]


def test_in_bfloat16_parameters_stay_float32_and_the_loss_hardly_moves():
    model, tx = samples.narrow(make_model("deepfm")), optimizers.make("adam", 0.01)
    batch = BATCHES[0]
    create = jax.jit(functools.partial(state.create, model, tx))
    before = create(batch.features, jax.random.key(0))
    found = {}
    for dtype in COMPUTE_DTYPES:
        task = Task(model, optimizer=tx, table_update="lazy", compute_dtype=dtype)
        step = jax.jit(steps.make_train_step(task))
        predict = jax.jit(steps.make_predict(model, compute_dtype=dtype))
        text = step.lower(before, batch).as_text()
        assert ("bf16" in text) is (dtype == "bfloat16")
        logits = predict(before.variables, batch.features)
        run, metrics = step(before, batch)
        dtypes = {leaf.dtype for leaf in jax.tree.leaves(run.params)}
        assert dtypes == {np.dtype(np.float32)}
        found[dtype] = metrics["loss"], *logits
    np.testing.assert_allclose(found["bfloat16"], found["float32"], atol=0.02)
    assert found["bfloat16"] != found["float32"]


def test_an_unknown_dtype_is_refused():
    with pytest.raises(ValueError, match="compute_dtype must be one of"):
        steps.make_predict(make_model(), compute_dtype="float16")


@pytest.mark.parametrize("table_update", TABLE_UPDATES)
def test_joined_scalar_tables_are_updated_as_they_are_apart(table_update):
    tx = make_tx("adam", 0.1, table_l2=1e-3)
    how = {"tx": tx, "table_update": table_update}
    apart, _ = train(BATCHES, **how)
    joined, _ = train(BATCHES, **how, lay_out=state.join_scalar_tables)
    scalars = 3 + (table_update == "rows")
    assert joined.scalar_tables.shape == (samples.VOCAB_SIZE, scalars)
    for ours, theirs in (
        (state.split_scalar_tables(joined), apart),
        (joined.variables, apart.variables),
    ):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7),
            ours,
            theirs,
        )


@pytest.mark.parametrize(
    "prepare", [lambda b: b, table_rows.deduplicate], ids=["device", "host"]
)
@pytest.mark.parametrize("name", ["sgd", "adagrad"])
def test_row_updates_equal_dense_updates(name, prepare):
    tx = make_tx(name, 0.1)
    dense, dense_losses = train(BATCHES, tx=tx, table_update="dense")
    by_rows, row_losses = train(BATCHES, tx=tx, table_update="rows", prepare=prepare)
    np.testing.assert_allclose(row_losses, dense_losses, rtol=1e-6)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=1e-7
        ),
        by_rows.params,
        dense.params,
    )


def test_lazy_adam_leaves_other_rows_alone():
    tx = make_tx("adam", 0.1)
    first, then = random_batch(seed=0), random_batch(seed=1, num_rows=2)
    run, _ = train([first, then, then], tx=tx, table_update="lazy")
    before, _ = train([first], tx=tx, table_update="lazy")
    ids = then.features.ids
    touched = np.unique(ids[then.features.values > 0])
    untouched = np.setdiff1d(np.arange(samples.VOCAB_SIZE), ids)
    assert np.isin(untouched, first.features.ids).any()
    table, old = (s.params["embedding"]["table"] for s in (run, before))
    np.testing.assert_array_equal(table[untouched], old[untouched])
    assert (np.abs(table[touched] - old[touched]).max(axis=1) > 0).all()


def test_the_loss_is_the_weighted_mean_over_the_batch():
    model = make_model()
    batch = random_batch(padding=3)
    tx = make_tx("sgd", 0.1)
    run, step = random_state(tx), compiled_step(tx)
    logits = model.apply({"params": run.params}, batch.features)
    each = losses.sigmoid_cross_entropy(logits, jnp.asarray(batch.labels))
    new, metrics = step(run, batch)
    expected = float(np.mean(np.asarray(each)[:5]))
    assert metrics["loss"] == pytest.approx(expected, rel=1e-6)
    assert new.loss_sum == pytest.approx(5 * expected, rel=1e-6)
    assert new.weight_sum == 5
    assert new.step == 1


def test_padding_does_not_move_parameters():
    tx = make_tx("sgd", 0.5)
    full = random_batch(num_rows=5)
    padded = jax.tree.map(lambda a: np.concatenate([a, a[:3]]), full)
    padded = padded._replace(weights=np.array([1] * 5 + [0] * 3, np.float32))
    without, _ = train([full], tx=tx, table_update="rows")
    with_padding, _ = train([padded], tx=tx, table_update="rows")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7),
        without.params,
        with_padding.params,
    )


def test_dropout_differs_from_step_to_step_and_is_repeatable():
    batch = random_batch()
    model = models.make(
        "afm",
        init_stddev=0.5,
        pooling_dropout_rate=0.5,
        **samples.data_hyperparameters("full"),
    )
    tx = optax.set_to_zero()
    run, step = random_state(tx, model), compiled_step(tx, model=model)

    def two(run):
        run, one = step(run, batch)
        _, two = step(run, batch)
        return float(one["loss"]), float(two["loss"])

    assert two(run) == two(run)
    assert two(run)[0] != two(run)[1]


def test_batch_statistics_are_part_of_the_state():
    batch = random_batch()
    model = models.make(
        "afm_deep", normalization="batch", **samples.data_hyperparameters("full")
    )
    tx = make_tx("adam", 1e-2)
    run = random_state(tx, model)
    new, _ = compiled_step(tx, "lazy", model)(run, batch)
    changed = jax.tree.map(
        lambda a, b: bool((a != b).any()), run.model_state, new.model_state
    )
    assert jax.tree.leaves(changed)
    assert all(jax.tree.leaves(changed))


def test_the_learning_rate_scale_multiplies_every_update():
    batch = random_batch()
    tx = make_tx("adam", 0.1)
    run, step = random_state(tx), compiled_step(tx, "lazy")
    whole, _ = step(run, batch)
    half, _ = step(run._replace(learning_rate_scale=jnp.float32(0.5)), batch)
    jax.tree.map(
        lambda start, one, other: np.testing.assert_allclose(
            (one - start) * 0.5, other - start, atol=1e-7
        ),
        run.params,
        whole.params,
        half.params,
    )


def test_a_wrong_table_update_is_named():
    with pytest.raises(ValueError, match="'row'"):
        Task(make_model(), optimizer=optax.sgd(0.1), table_update="row")


def test_an_optimizer_that_is_not_elementwise_is_refused():
    model, batch = make_model(), random_batch()
    tx = optax.adafactor(1e-2, min_dim_size_to_factor=2)
    run = random_state(tx)
    step = steps.make_train_step(Task(model, optimizer=tx))
    with pytest.raises(ValueError, match="table_update='dense'"):
        step(run, batch)


def test_an_optimizer_that_looks_at_whole_tables_is_refused_by_row_updates_alone():
    model, batch, tx = make_model(), random_batch(), optax.lamb(0.1)
    run = random_state(tx)
    for join in (lambda run: run, state.join_scalar_tables):
        step = steps.make_train_step(Task(model, optimizer=tx))
        with pytest.raises(InputError, match="table_update='dense'"):
            jax.jit(step)(join(run), batch)
    dense = steps.make_train_step(Task(model, optimizer=tx, table_update="dense"))
    assert np.isfinite(jax.jit(dense)(run, batch)[1]["loss"])


@pytest.mark.parametrize("table_update", TABLE_UPDATES)
def test_the_base_logit_is_added_to_every_logit_and_never_moves(table_update):
    """As a bias of this size would be that no gradient and no penalty reaches."""
    model, batch = make_model(), random_batch(padding=2)
    tx = make_tx("sgd", 0.5, table_l2=0.1, l2=0.1)
    run = random_state(tx)._replace(base_logit=np.float32(-3.0))
    params = jax.tree.map(np.array, run.params)
    params["first_order"]["bias"] = params["first_order"]["bias"] - 3.0
    shifted = run._replace(params=params, base_logit=np.float32(0.0))
    step = compiled_step(tx, table_update)
    (new, metrics), (other, expected) = step(run, batch), step(shifted, batch)
    assert float(new.base_logit) == -3.0
    assert metrics["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)
    close = functools.partial(np.testing.assert_allclose, atol=1e-5)
    jax.tree.map(close, new.params["embedding"], other.params["embedding"])
    # The bias decays with the penalty on 3 more.
    moved = 0.5 * 0.1 * 3.0 - 3.0
    bias, far = (each.params["first_order"]["bias"] for each in (new, other))
    close(bias + moved, far)
    predict = steps.make_predict(model)
    close(
        predict(run.variables, batch.features),
        predict(shifted.variables, batch.features),
    )
    close(
        predict(run.variables, batch.features),
        model.apply(run.variables, batch.features) - 3.0,
    )


def test_predict_is_the_model_without_dropout():
    batch, model = random_batch(), make_model("afm")
    variables = samples.initial_variables(model, batch.features)
    features = Features(*batch.features)
    np.testing.assert_array_equal(
        steps.make_predict(model)(variables, features), model.apply(variables, features)
    )


@pytest.mark.parametrize(
    ("table_update", "prepare"),
    [("dense", lambda b: b), ("rows", lambda b: b), ("rows", table_rows.deduplicate)],
    ids=["dense", "rows_on_device", "rows_on_host"],
)
@pytest.mark.parametrize("wrong", [-1, samples.VOCAB_SIZE, 1 << 30])
def test_an_id_outside_the_tables_makes_the_loss_nan(table_update, prepare, wrong):
    batch = random_batch()
    tx = make_tx("sgd", 0.1)
    _, right = train([batch], tx=tx, table_update=table_update, prepare=prepare)
    assert np.isfinite(right).all()
    ids = batch.features.ids.copy()
    ids[3, 1] = wrong
    batch = batch._replace(features=batch.features._replace(ids=ids))
    _, found = train([batch], tx=tx, table_update=table_update, prepare=prepare)
    assert np.isnan(found).all()


def test_predictions_of_rows_with_an_id_outside_the_tables_are_nan():
    model, features = make_model(), random_batch().features
    variables = samples.random_variables(model, features)
    ids = features.ids.copy()
    ids[2, 0], ids[3, 1], ids[5, 0] = 2**31 - 1, -1, samples.VOCAB_SIZE
    predict = steps.make_predict(model)
    found = predict(variables, features._replace(ids=ids))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [2, 3, 5])
    right = ~np.isnan(found)
    np.testing.assert_array_equal(found[right], predict(variables, features)[right])
