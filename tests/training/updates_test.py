"""Where the updates of an epoch come from."""

import jax
import numpy as np
import pytest

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.ops import losses
from afm_jax.training import optimizers, parallel, steps, updates
from data.loader import Loader
from data.store import Rows

VOCAB_SIZE = 50


def make_loader(num_rows=100):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, VOCAB_SIZE, (num_rows, 3)).astype(np.int32)
    labels = rng.integers(0, 2, num_rows).astype(np.float32)
    return Loader(Rows(ids, None, np.zeros((num_rows, 0), np.float32), labels), 16)


def make(placement, *, memory=None, loader=None):
    """The updates and a state, on a device with so much memory of its own."""
    loader = loader or make_loader()
    devices = parallel.Devices(VOCAB_SIZE, devices=jax.devices()[:1])
    devices.__class__ = type(
        "Devices", (parallel.Devices,), {"memory": property(lambda self: memory)}
    )
    model = models.make("fm", vocab_size=VOCAB_SIZE, embedding_dim=2)
    tx = optimizers.make("adam", 0.1)
    features = loader.batch(0, 0).features
    state = devices.create_state(model, tx, features, jax.random.key(0))
    step = steps.make_train_step(model, tx, losses.sigmoid_cross_entropy)
    made = updates.make(placement, step, devices, loader, state, table_update="rows")
    return made, state


@pytest.mark.parametrize(
    ("placement", "memory", "expected"),
    [
        ("auto", None, 1),
        ("auto", 1 << 30, 4),
        ("auto", 1000, 1),
        ("host", 1 << 30, 1),
        ("device", None, 4),
    ],
)
def test_rows_are_on_the_device_where_it_has_the_memory(placement, memory, expected):
    """Seen from outside: how many steps a call makes."""
    made, _ = make(placement, memory=memory)
    calls = made.calls(0, 0, pause=lambda step: step + 4)
    assert next(calls).steps == expected
    calls.close()


@pytest.mark.parametrize("placement", ["host", "device"])
@pytest.mark.parametrize("first", [0, 3])
def test_calls_make_every_step_to_the_end_and_pause(placement, first):
    made, state = make(placement)
    step = first
    for call in made.calls(1, first, pause=lambda step: step - step % 4 + 4):
        assert step // 4 == (step + call.steps - 1) // 4
        state, values = call.run(state)
        known = np.ravel(values)[step - call.losses_from :][: call.steps]
        assert (known > 0).all()
        step += call.steps
    assert step == 7
    assert int(state.step) == 7 - first


def test_an_order_made_ahead_is_that_of_its_epoch():
    """Whatever epoch is asked for: the same losses as without any before it."""
    loader = make_loader()

    def losses_of(made, state, epoch):
        (call,) = made.calls(epoch, 0, pause=lambda step: 7)
        return np.asarray(call.run(state)[1])

    made, _ = make("device", loader=loader)
    for epoch in (0, 1, 5):
        fresh, state = make("device", loader=loader)
        expected = losses_of(fresh, state, epoch)
        _, state = make("device", loader=loader)
        np.testing.assert_array_equal(losses_of(made, state, epoch), expected)


def test_an_unknown_placement_is_named():
    with pytest.raises(InputError, match="'auto', 'host', 'device'"):
        make("gpu")
