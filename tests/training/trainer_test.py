"""An epoch: calls of compiled steps, and after each what is due."""

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax import models
from afm_jax.data.loader import Loader
from afm_jax.features import Field, Rows, Schema
from afm_jax.training.dataset import Dataset
from afm_jax.training.devices import Devices
from afm_jax.training.divergence import Divergence
from afm_jax.training.task import Task
from afm_jax.training.trainer import Trainer

SCHEMA = Schema("toy", (Field("user", "categorical", 50, 0),))
ROWS, BATCH_SIZE, STEPS = 795, 16, 50


class Every:
    """Notes each moment at which it is due: every so many steps, or after every call."""

    def __init__(self, steps):
        self.steps, self.moments = steps, []

    def next_due(self, step):
        return step - step % self.steps + self.steps if self.steps else step

    def run(self, moment):
        self.moments.append(moment)


def make_trainer():
    ids = np.random.default_rng(0).integers(0, 50, (ROWS, 1)).astype(np.int32)
    labels = (ids[:, 0] % 2).astype(np.float32)
    train = Loader(Rows(ids, None, np.zeros((ROWS, 0), np.float32), labels), BATCH_SIZE)
    task = Task(models.make("lr", vocab_size=50), learning_rate=0.1)
    devices = Devices(50, devices=jax.devices()[:1])
    features = train.batch(0, 0).features
    state = devices.create_state(
        task.model, task.tx, features, jax.random.key(0), catches_up=True
    )
    dataset = Dataset(SCHEMA, {"train": train}, None)
    divergence = Divergence(task, dataset.splits, lambda: None)
    return Trainer(task, dataset, devices, state, divergence), state


def test_actions_run_when_they_are_due_and_no_call_goes_beyond():
    trainer, state = make_trainer()
    seldom, often, each = Every(20), Every(7), Every(0)
    trainer.train(state, 0, [each, seldom, often])
    assert [moment.step for moment in seldom.moments] == [20, 40]
    assert [moment.step for moment in often.moments] == [*range(7, 50, 7)]
    ends = [moment.step for moment in each.moments]
    assert {*range(7, 50, 7), 20, 40, STEPS} <= {*ends}
    assert [moment.ends_epoch for moment in each.moments] == [e == STEPS for e in ends]
    assert sum(moment.rows for moment in each.moments) == ROWS


def test_what_an_action_makes_of_the_state_is_trained_on():
    trainer, state = make_trainer()

    class Double:
        def next_due(self, step):
            return step - step % 20 + 20

        def run(self, moment):
            moment.state = moment.state._replace(step=2 * moment.state.step)

    # After 20 updates 40 in place of 20, after 20 more 120 in place of 60.
    assert int(trainer.train(state, 0, [Double()]).step) == 120 + 10


def test_one_call_runs_and_one_waits():
    def slow(state, source, first, last):
        step = state.step + last - first
        busy = jnp.full((300, 300), step / 1e6)
        busy = jax.lax.fori_loop(0, 20, lambda _, a: jnp.tanh(a @ a), busy)
        return state._replace(step=step), busy.sum() + source.batches.labels.sum()

    class Ready:
        losses = ()

        def next_due(self, step):
            return step

        def run(self, moment):
            assert all(earlier.is_ready() for earlier in self.losses)
            self.losses += (moment.losses,)

    trainer, state = make_trainer()
    trainer._steps, ready = jax.jit(slow), Ready()
    trainer.train(state, 0, [ready])
    assert len(ready.losses) == 7
