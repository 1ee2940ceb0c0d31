"""Where the batches of an epoch come from."""

import functools

import jax
import numpy as np
import pytest

from afm_jax import models
from afm_jax.data.loader import Loader
from afm_jax.errors import InputError
from afm_jax.features import Rows
from afm_jax.training import feed, steps
from afm_jax.training.devices import Devices
from afm_jax.training.task import Task

VOCAB_SIZE = 50


def make_loader(num_rows=100):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCAB_SIZE, (num_rows, 3)).astype(np.int32)
    labels = rng.integers(0, 2, num_rows).astype(np.float32)
    return Loader(Rows(ids, None, np.zeros((num_rows, 0), np.float32), labels), 16)


def make_devices(*, memory=None, device_map="mesh"):
    """One device with so much memory of its own."""
    devices = Devices(VOCAB_SIZE, devices=jax.devices()[:1], device_map=device_map)
    devices.__class__ = type(
        "Devices", (Devices,), {"memory": property(lambda self: memory)}
    )
    return devices


@functools.cache
def compiled_steps(device_map):
    """A state on the host, and compiled steps."""
    devices = make_devices(device_map=device_map)
    model = models.make("fm", vocab_size=VOCAB_SIZE, embedding_dim=2)
    task = Task(model, learning_rate=0.1, table_update="lazy")
    features = make_loader().batch(0, 0).features
    state = devices.create_state(model, task.tx, features, jax.random.key(0))
    step = steps.make_train_step(task, axis_name=devices.axis_name)
    return devices.gather_state(state), devices.compile_train_steps(step, state)


def make(placement, *, memory=None, loader=None, device_map="mesh"):
    """A feed; and steps that it may feed, with a state for them."""
    devices = make_devices(memory=memory, device_map=device_map)
    made = feed.make(placement, devices, loader or make_loader(), find_unique_ids=True)
    state, run = compiled_steps(device_map)
    return (
        made,
        devices.place_state(state),
        lambda state, call: run(state, call.source, call.first, call.last),
    )


@pytest.mark.parametrize(
    ("placement", "memory", "expected"),
    [
        ("auto", None, 8),
        ("auto", 1 << 30, 20),
        ("auto", 1000, 8),
        ("host", 1 << 30, 8),
        ("device", None, 20),
    ],
)
def test_rows_are_on_the_device_where_it_has_the_memory(placement, memory, expected):
    """Seen from outside: how many steps a call makes."""
    made, *_ = make(placement, memory=memory, loader=make_loader(400))
    calls = made.calls(0, 0, pause=lambda step: step + 20)
    assert next(calls).steps == expected
    calls.close()


@pytest.mark.parametrize(
    ("placement", "device_map"),
    [("host", "mesh"), ("host", "pmap"), ("device", "mesh")],
)
@pytest.mark.parametrize("first", [0, 3, 13])
def test_calls_make_every_step_to_the_end_and_pause(placement, device_map, first):
    made, state, run = make(placement, loader=make_loader(300), device_map=device_map)
    step = first
    for call in made.calls(1, first, pause=lambda step: step - step % 5 + 5):
        assert step // 5 == (step + call.steps - 1) // 5
        state, values = run(state, call)
        known = np.ravel(values)[step - call.offset :][: call.steps]
        assert known.size == call.steps
        assert (known > 0).all()
        step += call.steps
    assert step == 19
    assert int(np.ravel(state.step)[0]) == 19 - first


def test_rows_on_the_device_need_one_program():
    with pytest.raises(InputError, match="'device' needs device_map='mesh'"):
        make("device", device_map="pmap")


@pytest.mark.parametrize("cuts", [[19], [3, 19], [8, 19], [13, 14, 19], range(1, 20)])
def test_stacks_make_the_same_steps_wherever_they_are_cut(cuts):
    """An epoch that goes on where it was cut, in the middle of a stack or not."""
    loader = make_loader(300)
    made, state, run = make("host", loader=loader)
    first = 0
    for last in cuts:
        calls = made.calls(0, first, pause=lambda step, last=last: last)
        while first < last:
            call = next(calls)
            state, _ = run(state, call)
            first += call.steps
        calls.close()
    whole, expected, run = make("host", loader=loader)
    for call in whole.calls(0, 0, pause=lambda step: 19):
        expected, _ = run(expected, call)
    jax.tree.map(np.testing.assert_array_equal, state, expected)
    one_by_one, apart, run = make("host", loader=loader, device_map="pmap")
    for call in one_by_one.calls(0, 0, pause=lambda step: 19):
        apart, _ = run(apart, call)
    np.testing.assert_allclose(
        state.variables["params"]["embedding"]["table"],
        apart.params["embedding"]["table"][0],
        atol=1e-5,
    )


def test_many_ids_make_small_stacks(monkeypatch):
    monkeypatch.setattr(feed, "_STACK_NUMBERS", 16 * (3 + 2) * 2 + 1)
    made, *_ = make("host")
    assert [call.steps for call in made.calls(0, 0, lambda step: 9)] == [2, 2, 2, 1]


def test_an_order_made_ahead_is_that_of_its_epoch():
    """Whatever epoch is asked for: the same losses as without any before it."""
    loader = make_loader()

    def losses_of(made, state, epoch):
        (call,) = made.calls(epoch, 0, pause=lambda step: 7)
        return np.asarray(run(state, call)[1])

    made, *_ = make("device", loader=loader)
    for epoch in (0, 1, 5):
        fresh, state, run = make("device", loader=loader)
        expected = losses_of(fresh, state, epoch)
        _, state, _ = make("device", loader=loader)
        np.testing.assert_array_equal(losses_of(made, state, epoch), expected)


def test_an_unknown_placement_is_named():
    with pytest.raises(InputError, match="'auto', 'host', 'device'"):
        make("gpu")


def test_rows_on_the_device_are_fewer_than_two_to_the_31():
    """The device numbers their places in int32."""
    loader = make_loader()
    loader.steps_per_epoch = (1 << 31) // loader.batch_size
    with pytest.raises(InputError, match="data_placement='host'"):
        make("device", loader=loader)
    made, *_ = make("auto", memory=1 << 60, loader=loader)
    assert type(made) is type(make("host")[0])
    loader.steps_per_epoch -= 1
    made, *_ = make("auto", memory=1 << 60, loader=loader)
    assert type(made) is type(make("device")[0])
