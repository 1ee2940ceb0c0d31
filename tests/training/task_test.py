"""What a task refuses, and what it makes of names and functions."""

import jax
import numpy as np
import optax
import pytest

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.ops import losses
from afm_jax.training import Task, optimizers

MODEL = models.make("lr", vocab_size=5)


def test_an_optimizer_is_a_name_with_a_learning_rate_or_a_transformation():
    schedule = optimizers.make_schedule("cosine", 0.1, warmup_steps=2, total_steps=9)
    named = Task(MODEL, optimizer="adam", learning_rate=schedule)
    assert named.tx is named.tx
    assert named.learning_rate_at(1) == pytest.approx(0.05)
    own = optax.sgd(0.1)
    assert Task(MODEL, optimizer=own).tx is own
    assert Task(MODEL, optimizer=own).learning_rate_at(3) is None
    assert Task(MODEL, optimizer=own, learning_rate=0.1).learning_rate_at(3) == 0.1


def test_any_function_is_a_loss_and_its_logits_are_log_odds():
    def hinge(logits, labels, margin=1.0):
        return jax.nn.relu(margin - (2 * labels - 1) * logits)

    loss = Task(MODEL, loss=hinge, learning_rate=0.1).made_loss
    assert (loss.name, loss.probabilities) == ("hinge", True)
    np.testing.assert_allclose(loss.predict(np.array([0.0])), [0.5])
    wider = losses.make(hinge, margin=3.0)
    assert Task(MODEL, loss=wider, learning_rate=0.1).made_loss is wider
    labels = np.array([1.0, 0.0])
    np.testing.assert_allclose(wider(np.array([1.0, 1.0]), labels), [2.0, 4.0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"table_update": "row"}, "table_update must be one of"),
        ({"compute_dtype": "float16"}, "compute_dtype must be one of"),
        ({"loss": "hinge"}, "Unknown loss 'hinge'"),
        ({"optimizer": "adm"}, "Unknown optimizer 'adm'"),
        (
            {"loss": lambda logits: logits},
            r"the loss <lambda> must be a function \(logits \[B\], labels \[B\]\) -> losses",
        ),
        ({"loss": lambda logits, labels: logits.sum()}, "of 3 rows it gives"),
        ({"learning_rate": None}, "'adam' needs a learning_rate"),
    ],
)
def test_mistakes_are_named(settings, words):
    with pytest.raises(InputError, match=words):
        Task(MODEL, **{"learning_rate": 0.1, **settings})
