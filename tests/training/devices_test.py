"""Rows or whole tables, one device or four, and every layout: the same run."""

import collections
import functools
import itertools
import re
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import samples

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.features import Batch
from afm_jax.training import (
    catch_up,
    feed,
    missed_updates,
    optimizers,
    state,
    steps,
    table_rows,
)
from afm_jax.training.devices import DEVICE_MAPS, Devices
from afm_jax.training.task import Task

LAYOUTS = {
    "one device": {"count": 1},
    "mesh": {},
    "pmap": {"device_map": "pmap"},
    "rows": {"table_sharding": "rows"},
}
OPTIMIZERS = {name: optimizers.make(name, 0.1) for name in ("adagrad", "sgd")}
TX = OPTIMIZERS["adagrad"]
UPDATES = ("rows", "dense")  # 'lazy' is 'rows' under an optimizer that lets rows rest

# A layout says where arrays lie, and an optimizer takes gradients, whatever computes
# them: two models are trained on all layouts and by SGD too, every model on the default
# layout by Adagrad, whose state shows the gradients.
ON_EVERY_LAYOUT = ("fm", "afm_deep")


def random_batch(seed, *, padding=0):
    features = samples.random_features("full", seed=seed, num_rows=16)
    labels = np.random.default_rng(seed).integers(0, 2, 16).astype(np.float32)
    weights = np.ones(16, np.float32)
    weights[16 - padding :] = 0
    return Batch(features, labels, weights)


BATCHES = [random_batch(0), random_batch(1), random_batch(2, padding=5)]


def make_devices(layout, vocab_size=samples.VOCAB_SIZE):
    settings = dict(LAYOUTS[layout])
    count = settings.pop("count", 4)
    return Devices(vocab_size, devices=jax.devices()[:count], **settings)


def make_model(name):
    settings = {"init_stddev": 0.3, **samples.data_hyperparameters("full")}
    return samples.make_form(name, **settings)


@functools.cache
def initial_state(model, rounding=None):
    """On the host; placed on every layout.

    With `rounding`, a seed, every parameter is one float32 rounding larger or smaller.
    """
    if rounding is None:
        features = BATCHES[0].features
        return samples.random_state(model, TX, features, stddev=0.3)
    start, rng = initial_state(model), np.random.default_rng(rounding)

    def moved(leaf):
        signs = rng.choice(np.float32([-1, 1]), leaf.shape)
        return leaf * (1 + np.finfo(np.float32).eps * signs)

    return start._replace(params=jax.tree.map(moved, start.params))


def abstract_state(devices, model, tx):
    """The shapes of a state on the devices, for a step that is only compiled."""

    def create(key, catches_up):
        features = BATCHES[0].features
        return devices.create_state(model, tx, features, key, catches_up=catches_up)

    key = jax.random.key(0)
    run = jax.eval_shape(functools.partial(create, catches_up=False), key)
    laws = catch_up.of(Task(model, optimizer=tx), run.params)
    if laws is None:
        return run
    missed = missed_updates.Missed(
        np.int32(0), np.zeros((9, len(laws.laws), 4), np.float32)
    )
    run = jax.eval_shape(functools.partial(create, catches_up=True), key)
    return run._replace(missed=jax.eval_shape(lambda: missed))


@functools.cache
def compiled_step(model, layout, table_update):
    devices = make_devices(layout)
    step = steps.make_train_step(
        Task(model, optimizer=TX, table_update=table_update),
        num_table_rows=devices.num_table_rows,
        axis_name=devices.axis_name,
    )
    return devices.compile_train_step(step, devices.place_state(initial_state(model)))


@functools.cache
def train(name, layout, table_update, rounding=None):
    """The state after a few steps, their losses, and the logits of those models that
    are trained on every layout."""
    # Under pmap batch statistics are each device's own, and a bias that they cancel moves
    # by rounding errors alone.
    model = samples.without_batch_statistics(make_model(name))
    devices = make_devices(layout)
    run = devices.place_state(initial_state(model, rounding))
    step = compiled_step(model, layout, table_update)
    values = []
    for batch in BATCHES:
        ready = table_rows.deduplicate(batch) if table_update == "rows" else batch
        run, metrics = step(run, devices.place_batch(ready))
        values.append(float(metrics["loss"]))
    logits = None
    if name in ON_EVERY_LAYOUT:
        predict = devices.compile_predict(
            steps.make_predict(model, num_table_rows=devices.num_table_rows)
        )
        logits = np.asarray(predict(run.variables, devices.place_batch(BATCHES[0])))
    return devices.gather_state(run), values, logits


ADAM = optimizers.make("adamw", 0.1, table_l2=0.1)


class Updated(NamedTuple):
    """What an update of one state gave: (state, metrics) by optimizer, of `OPTIMIZERS`."""

    by_rows: dict[str, Any]
    dense: dict[str, Any]


@functools.cache
def both_updates(name):
    """(state, batch, compact batch) -> `Updated`, compiled.

    One program, which computes the gradient once for all optimizers. AdamW, whose state
    shows the gradients, is compared for every model: by rows all table rows then catch up.
    Adagrad by rows is what the layouts are compared with; SGD, whose state is empty, and
    Adagrad are compared for two models, since they take gradients, whatever computes them.
    """
    model, start = make_model(name), initial_state(make_model(name))
    names = tuple(OPTIMIZERS) if name in ON_EVERY_LAYOUT else ()
    laws = catch_up.of(Task(model, optimizer=ADAM), start.params)
    missed = missed_updates.of_epoch(laws, start, 0, len(BATCHES))

    def update(run, batch, table_update, names):
        def step(tx):
            return steps.make_train_step(
                Task(model, optimizer=tx, table_update=table_update)
            )

        after = {}
        for optimizer in names:
            tx = OPTIMIZERS[optimizer]
            before = run if tx is TX else run._replace(opt_state=tx.init(run.params))
            after[optimizer] = step(tx)(before, batch)
        # Moments like those of some steps.
        moments = jax.tree.map(
            lambda leaf: leaf + 0.1 if leaf.ndim else leaf, ADAM.init(run.params)
        )
        before = run._replace(opt_state=moments)
        if table_update == "rows":
            before = before._replace(
                last_use=state.up_to_date(run.params),
                missed=missed._replace(start=run.step),
            )
        new, metrics = step(ADAM)(before, batch)
        after["adamw"] = (
            catch_up.end(laws, new) if table_update == "rows" else new,
            metrics,
        )
        return after

    @jax.jit
    def both(run, batch, compact):
        return Updated(
            update(run, compact, "rows", names or ("adagrad",)),
            update(run, batch, "dense", names),
        )

    return both


@functools.cache
def update_on_one_device(name, rounding=None):
    """Updates with `BATCHES`, each of the state that Adagrad made by rows of the last."""
    run, found = initial_state(make_model(name), rounding), []
    for batch in BATCHES:
        found.append(both_updates(name)(run, batch, table_rows.deduplicate(batch)))
        run, _ = found[-1].by_rows["adagrad"]
    return found


@pytest.mark.parametrize("name", samples.FORMS)
def test_row_updates_equal_dense_updates(name):
    """No parameter but the tables may depend on vocab_size, and no id be used raw."""
    before = jax.tree.leaves(initial_state(make_model(name)).params)
    compared = (*OPTIMIZERS, "adamw") if name in ON_EVERY_LAYOUT else ("adamw",)
    for updated, optimizer in itertools.product(update_on_one_device(name), compared):
        by_rows, row_metrics = updated.by_rows[optimizer]
        dense, dense_metrics = updated.dense[optimizer]
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, atol=1e-6),
            by_rows.params,
            dense.params,
        )
        # Losses and sums of squares may be large.
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
            (by_rows.opt_state, row_metrics),
            (dense.opt_state, dense_metrics),
        )
        paths = jax.tree.leaves_with_path(dense.params)
        for (path, new), old in zip(paths, before, strict=True):
            assert not state.is_table(path) or (new != old).any()


SPARSE = [
    jax.tree.map(lambda a: np.repeat(a[:1], 16, axis=0), each) for each in BATCHES
]
"""Batches that use few table rows, so that the others rest."""


@functools.cache
def start_of_adam(model):
    """On the host, before an epoch."""
    features = BATCHES[0].features
    run = samples.random_state(model, ADAM, features, stddev=0.3)
    # Its moments are those after one update.
    return run._replace(step=np.int32(1), last_use=state.up_to_date(run.params))


@functools.cache
def dense_adam(model):
    """Parameters after `SPARSE`, on one device."""
    run = start_of_adam(model)._replace(last_use=None)
    task = Task(model, optimizer=ADAM, table_update="dense")
    step = jax.jit(steps.make_train_step(task))
    for batch in SPARSE:
        run, _ = step(run, batch)
    return run.params


@pytest.mark.parametrize("layout", LAYOUTS)
def test_table_rows_catch_up_with_whole_tables_on_every_layout(layout):
    devices, model = make_devices(layout), make_model("fm")
    task = Task(model, optimizer=ADAM)
    step = steps.make_train_step(
        task, num_table_rows=devices.num_table_rows, axis_name=devices.axis_name
    )
    run = devices.place_state(start_of_adam(model))
    laws = catch_up.of(task, run.params)
    missed = missed_updates.of_epoch(laws, run, 1, 1 + len(SPARSE))
    end = devices.compile_catch_up(functools.partial(catch_up.end, laws), run)
    run = run._replace(missed=devices.place_replicated(missed))
    one_step = devices.compile_train_step(step, run)
    for batch in SPARSE:
        run, _ = one_step(run, devices.place_batch(table_rows.deduplicate(batch)))
    rested = devices.gather_state(run).last_use["table"]
    assert {*rested.ravel()} == {0, 1, 2, 3}  # updates before the last use
    run = devices.gather_state(end(run))
    assert not run.last_use["table"].any()
    jax.tree.map(
        lambda ours, dense: np.testing.assert_allclose(ours, dense, atol=2e-5),
        run.params,
        dense_adam(model),
    )


def assert_close(ours, theirs):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        ours,
        theirs,
    )


@pytest.mark.parametrize(
    ("name", "layout", "table_update", "source"),
    [
        *itertools.product(
            ["fm"], ["one device", "mesh", "rows"], UPDATES, ["epoch", "stack"]
        ),
        # Attention over each device's rows of the batch, within the loop over steps.
        ("afm_deep", "mesh", "rows", "epoch"),
    ],
)
def test_many_steps_in_one_call_are_the_same_steps(name, layout, table_update, source):
    """Batches of 16 rows; the last repeats rows to fill up."""
    one, values, _ = train(name, "one device", table_update)
    devices, model = make_devices(layout), make_model(name)
    run = devices.place_state(initial_state(model))
    step = steps.make_train_step(
        Task(model, optimizer=TX, table_update=table_update),
        num_table_rows=devices.num_table_rows,
    )
    columns = [batch._replace(unique_ids=None) for batch in BATCHES]
    whole = jax.tree.map(lambda *parts: np.concatenate(parts), *columns)
    num_rows = int(whole.weights.sum())
    assert num_rows == 43
    whole = jax.tree.map(lambda column: column[:num_rows], whole)
    order = np.arange(48, dtype=np.int32).reshape(3, 16)
    order[2, 11:] = order[2, :5]
    run_steps = devices.compile_train_steps(step, run)
    if source == "epoch":
        placed = feed.ResidentEpoch(
            devices.place_whole(whole), devices.place_whole(order)
        )
    else:
        stacked = jax.tree.map(lambda column: column[order], whole)
        stacked.weights[2, 11:] = 0
        if table_update == "rows":
            stacked = table_rows.deduplicate_stack(stacked)
        placed = feed.StackedBatches(devices.place_stack(stacked))
    run, first = run_steps(run, placed, 0, 1)
    run, rest = run_steps(run, placed, 1, 3)
    np.testing.assert_array_equal(np.asarray(first)[1:], 0)
    np.testing.assert_allclose(first + rest, values, rtol=1e-4)
    assert_close(devices.gather_state(run), one)


def test_rows_on_the_device_are_for_one_program():
    with pytest.raises(InputError, match="device_map='mesh'"):
        make_devices("pmap").place_whole(np.zeros(3))


def train_on_one_device(name, table_update, rounding=None):
    """As `train`, whose results are at hand where no logits are wanted."""
    model = make_model(name)
    if name in ON_EVERY_LAYOUT or model != samples.without_batch_statistics(model):
        return train(name, "one device", table_update, rounding)
    updates = [each.by_rows["adagrad"] for each in update_on_one_device(name, rounding)]
    values = [float(metrics["loss"]) for _, metrics in updates]
    return updates[-1][0], values, None


def float32_errors(name, table_update):
    """How far each result moves if every parameter is rounded otherwise at the start.

    Results of float32 are no surer than this, and it may be far more than 1e-4 of them.
    AFN has the gradient 1 / v of ln |v|: in the second batch one v is .0003, a difference
    of two numbers of .2. One rounding of these changes v by 1e-4 of it, and with it the
    square of the gradient, 5.7 million, in Adagrad's sum. That sum is off the float64
    sum by 2.7e-4 of it on one device, and by 1.0e-4 of it on four.
    """
    one = train_on_one_device(name, table_update)
    moved = [
        jax.tree.map(
            lambda ours, theirs: np.abs(np.float64(ours) - np.float64(theirs)),
            train_on_one_device(name, table_update, rounding),
            one,
        )
        for rounding in range(4)
    ]
    return jax.tree.map(lambda *errors: np.max(errors, axis=0), *moved)


CASES = [
    (name, layout, table_update)
    for name in samples.FORMS
    for layout in LAYOUTS
    for table_update in UPDATES
    if layout != "one device"
    if name in ON_EVERY_LAYOUT or (layout, table_update) == ("mesh", "rows")
]


@pytest.mark.parametrize(("name", "layout", "table_update"), CASES)
def test_every_layout_computes_what_one_device_computes(name, layout, table_update):
    one = train_on_one_device(name, table_update)
    other = train(name, layout, table_update)

    def check(ours, theirs, error):
        # Each of the two is off by its own roundings, of a few numbers each.
        allowed = 1e-6 + 1e-4 * np.abs(theirs) + 4 * error
        assert (np.abs(np.float64(ours) - theirs) <= allowed).all()

    jax.tree.map(check, other, one, float32_errors(name, table_update))


@pytest.mark.parametrize("device_map", DEVICE_MAPS)
def test_a_frozen_network_stays_to_the_bit_on_three_devices(device_map):
    devices = Devices(
        samples.VOCAB_SIZE, device_map=device_map, devices=jax.devices()[:3]
    )
    model = make_model("afm").clone(attention_weights="frozen")
    tx = optimizers.make("adam", 0.1, l2=0.1)
    batch = jax.tree.map(
        lambda column: column[:15], BATCHES[0]._replace(unique_ids=None)
    )
    run = devices.create_state(model, tx, batch.features, jax.random.key(1))
    before = devices.gather_state(run)
    task = Task(model, optimizer=tx, table_update="lazy")
    step = steps.make_train_step(task, axis_name=devices.axis_name)
    compiled = devices.compile_train_step(step, run)
    ready = devices.place_batch(table_rows.deduplicate(batch))
    for _ in range(20):
        run, _ = compiled(run, ready)
    after = devices.gather_state(run)
    assert "frozen" in after.model_state
    jax.tree.map(np.testing.assert_array_equal, after.model_state, before.model_state)
    assert (after.params["output"]["kernel"] != before.params["output"]["kernel"]).all()


@pytest.mark.parametrize("table_update", UPDATES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_id_outside_the_tables_is_seen_on_every_device(layout, table_update):
    devices, num_ids = make_devices(layout), samples.VOCAB_SIZE
    assert devices.num_table_rows == num_ids + (layout == "rows")
    model = make_model("fm")
    run = devices.place_state(initial_state(model))
    num_table_rows = devices.num_table_rows
    step = steps.make_train_step(
        Task(model, optimizer=TX, table_update=table_update),
        num_table_rows=num_table_rows,
        axis_name=devices.axis_name,
    )
    batch = BATCHES[0]
    ids = batch.features.ids.copy()
    ids[-1, 0] = num_ids
    batch = batch._replace(features=batch.features._replace(ids=ids))
    predict = devices.compile_predict(
        steps.make_predict(model, num_table_rows=num_table_rows)
    )
    logits = predict(run.variables, devices.place_batch(batch))
    np.testing.assert_array_equal(np.isnan(logits), [False] * (len(ids) - 1) + [True])
    ready = table_rows.deduplicate(batch) if table_update == "rows" else batch
    _, metrics = devices.compile_train_step(step, run)(run, devices.place_batch(ready))
    assert np.isnan(metrics["loss"])


@pytest.mark.parametrize("layout", ["one device", "mesh", "pmap"])
def test_batch_statistics_follow_a_batch_by_its_share_of_rows(layout):
    settings = samples.data_hyperparameters("full")
    model = models.make("dnn", normalization="batch", hidden_dims=(8,), **settings)
    devices, batch = make_devices(layout), BATCHES[0]
    num_rows = len(batch.labels)
    start = samples.random_state(model, TX, batch.features, stddev=0.3)

    def statistics(full_batch, *absent_rows):
        """After a step with each of these numbers of absent rows."""
        step = steps.make_train_step(
            Task(model, optimizer=TX, table_update="dense"),
            full_batch=full_batch,
            axis_name=devices.axis_name,
        )
        compiled = devices.compile_train_step(step, devices.place_state(start))
        for absent in absent_rows:
            weights = (np.arange(num_rows) >= absent).astype(np.float32)
            ready = devices.place_batch(batch._replace(weights=weights))
            run, _ = compiled(devices.place_state(start), ready)
            yield devices.gather_state(run).model_state["batch_stats"]

    every, half = statistics(None, 0, num_rows // 2)
    (half_of_half,) = statistics(num_rows // 2, num_rows // 2)
    before = start.model_state["batch_stats"]
    expected = jax.tree.map(lambda a, b: (a + b) / 2, before, every)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, half, expected)
    # As many rows as a full batch has.
    jax.tree.map(close, half_of_half, every)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, every)
    assert min(jax.tree.leaves(moved)) > 0.01


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_gathered_state_moves_to_every_layout(layout):
    host, _, _ = train("fm", "rows", "rows")
    devices = make_devices(layout)
    again = devices.gather_state(devices.place_state(host))
    jax.tree.map(np.testing.assert_array_equal, again, host)


def test_initial_parameters_do_not_depend_on_the_layout():
    model = make_model("afm")
    created = [
        make_devices(layout).gather_state(
            make_devices(layout).create_state(
                model, TX, BATCHES[0].features, jax.random.key(4)
            )
        )
        for layout in LAYOUTS
    ]
    for other in created[1:]:
        jax.tree.map(np.testing.assert_array_equal, other, created[0])


def test_tables_split_by_rows_are_whole_on_no_device():
    """A share of 4,096 / 4 rows each; nothing of 4,096 rows in the compiled step."""
    model = make_model("fm").clone(vocab_size=4096)
    devices = make_devices("rows", vocab_size=4096)
    run = devices.create_state(model, TX, BATCHES[0].features, jax.random.key(0))
    step = steps.make_train_step(Task(model, optimizer=TX))
    train_step = devices.compile_train_step(step, run)
    batch = devices.place_batch(table_rows.deduplicate(BATCHES[0]))
    program = jax.jit(train_step).lower(run, batch).compile().as_text()
    # But for arrays of size 0.
    sizes = {int(size) for size in re.findall(r"f32\[(\d+)(?:,[1-9]\d*)*\]", program)}
    assert 1024 in sizes
    assert 4096 not in sizes
    run, _ = train_step(run, batch)
    for path, leaf in jax.tree_util.tree_leaves_with_path(run):
        shapes = {shard.data.shape[:1] for shard in leaf.addressable_shards}
        expected = (1024,) if state.is_table(path) else leaf.shape[:1]
        assert shapes == {expected}


def loops_of(program):
    """What is computed within loops, of the text of a compiled program."""
    computations = dict(
        re.findall(
            r"^(?:ENTRY )?%(\S+) .*?\{\n(.*?)^\}", program, re.MULTILINE | re.DOTALL
        )
    )
    called = r"(?:condition|body|to_apply|calls)=%([^\s,]+)"
    found, left = {}, set(re.findall(r"(?:condition|body)=%([^\s,]+)", program))
    while left:
        name = left.pop()
        found[name] = computations[name]
        left |= set(re.findall(called, computations[name])) - set(found)
    return "".join(found.values())


@pytest.mark.parametrize("layout", ["mesh", "rows"])
def test_a_device_walks_through_its_own_rows_of_the_batch_alone(layout):
    """Blocked attention: 2 of the 8 blocks of 1024 rows, and nothing is sent between."""
    batch = jax.tree.map(
        lambda column: np.resize(column, (4 * 2048, *column.shape[1:])), BATCHES[0]
    )
    model, devices = make_model("afm"), make_devices(layout)
    run = abstract_state(devices, model, TX)
    model = model.clone(vocab_size=devices.num_table_rows)
    step = steps.make_train_step(Task(model, optimizer=TX))
    train_step = devices.compile_train_step(step, run)
    predict = devices.compile_predict(steps.make_predict(model))
    placed = devices.place_batch(table_rows.deduplicate(batch))
    for function in (train_step, lambda run, batch: predict(run.variables, batch)):
        lowered = jax.jit(function).lower(run, placed)
        program = lowered.compile().as_text()
        assert "f32[2,8,4,1024]" in program
        assert "f32[8,8,4,1024]" not in program
        collectives = r"all-gather|all-reduce|all-to-all|collective-permute"
        assert not re.search(collectives, loops_of(program))


@pytest.mark.parametrize("name", ["fm", "afm_deep", "dcn"])
def test_the_step_updates_tables_in_place(name):
    """Every table is an input that becomes the output; what has its size is a scatter."""
    num_ids = 500_009  # a size that nothing else has
    model = make_model(name).clone(vocab_size=num_ids)
    tx = optimizers.make("adam", 0.05, table_l2=1e-4, clip_norm=1.0)
    devices = make_devices("one device", vocab_size=num_ids)
    run = abstract_state(devices, model, tx)
    step = steps.make_train_step(Task(model, optimizer=tx))
    compiled = devices.compile_train_step(step, run)
    batch = devices.place_batch(table_rows.deduplicate(BATCHES[0]))
    program = compiled.lower(run, batch).compile()
    text = program.as_text()
    sized = rf"= f32\[{num_ids},[1-9]\d*\]\S* ([\w-]+)\("
    opcodes = collections.Counter(re.findall(sized, text))
    leaves = jax.tree_util.tree_leaves_with_path(run)
    tables = [
        i for i, (path, leaf) in enumerate(leaves) if state.is_table(path) and leaf.size
    ]
    assert len(tables) == 4  # scalar tables are one, the `last_use` of rows among them
    assert opcodes["scatter"] == len(tables)
    assert set(opcodes) <= {"parameter", "fusion", "scatter"}, opcodes
    pairs = set(re.findall(r"\{(\d+)\}: \((\d+), \{\}", text.splitlines()[0]))
    assert {(str(i), str(i)) for i in tables} <= pairs
    table_bytes = num_ids * 8 * 4
    assert program.memory_analysis().temp_size_in_bytes < table_bytes / 10


def test_all_table_rows_catch_up_in_place():
    num_ids = 500_009
    model, tx = (
        make_model("fm").clone(vocab_size=num_ids),
        optimizers.make("adam", 0.05),
    )
    devices = make_devices("one device", vocab_size=num_ids)
    run = abstract_state(devices, model, tx)
    laws = catch_up.of(Task(model, optimizer=tx), run.params)

    def end(run, missed):
        return catch_up.end(laws, run._replace(missed=missed))

    whole = run._replace(missed=None), run.missed
    program = jax.jit(end, donate_argnums=0).lower(*whole).compile()
    table_bytes = num_ids * 8 * 4
    assert program.memory_analysis().temp_size_in_bytes < table_bytes / 5


def test_many_steps_in_one_call_copy_no_table():
    num_ids = 500_009
    model = make_model("fm").clone(vocab_size=num_ids)
    tx = optimizers.make("adam", 0.05)
    devices = make_devices("one device", vocab_size=num_ids)
    batch, order = BATCHES[0], np.arange(16, dtype=np.int32)[None]
    run = abstract_state(devices, model, tx)
    step = steps.make_train_step(Task(model, optimizer=tx))
    compiled = devices.compile_train_steps(step, run)
    stacked = jax.tree.map(lambda column: column[None], batch)
    for source in (
        feed.ResidentEpoch(batch, order),
        feed.StackedBatches(table_rows.deduplicate_stack(stacked)),
    ):
        program = compiled.lower(run, source, 0, 1).compile()
        assert program.memory_analysis().temp_size_in_bytes < num_ids * 4


def test_mistakes_are_named():
    with pytest.raises(InputError, match="'mesh', 'pmap'"):
        Devices(10, device_map="pmapp")
    with pytest.raises(InputError, match="'replicated', 'rows'"):
        Devices(10, table_sharding="row")
    with pytest.raises(InputError, match="needs device_map='mesh'"):
        Devices(10, table_sharding="rows", device_map="pmap")
    with pytest.raises(InputError, match=r"multiple of the number of devices, 4"):
        make_devices("mesh").check_batch_size(18)
