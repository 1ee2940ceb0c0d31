"""Every model but a first-order one learns an interaction that has no first-order part."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
import samples
from jax.flatten_util import ravel_pytree

from afm_jax import models
from afm_jax.features import Features
from afm_jax.ops import losses

FIRST_ORDER = {"lr"}
"""By their formula."""

FIELD_SIZES = (4, 4, 2, 2)
COIN = np.log(2)


def planted():
    """Every row that there can be, and its probability of label 1.

    The logit is 2.5 s t; s is 1 for odd values of field 0 and -1 for even ones, t the
    same for field 1. Every value is in as many rows with s t = 1 as with -1. So at logit
    0 the gradient of first-order parameters is 0 and, log loss being convex, the best
    that they reach is the loss of a coin, log 2.
    """
    values = np.indices(FIELD_SIZES).reshape(len(FIELD_SIZES), -1).T
    ids = values + np.cumsum((0, *FIELD_SIZES[:-1]))
    s, t = 2.0 * (values[:, :2] % 2).T - 1
    dense = np.zeros((len(ids), 0), np.float32)
    features = Features(ids.astype(np.int32), None, dense)
    return features, 1 / (1 + np.exp(-2.5 * s * t))


FEATURES, PROBABILITIES = planted()


def log_loss(logits):
    """In nats, the mean over all rows and over their labels."""
    logits = np.asarray(logits, np.float64)
    return np.mean(np.logaddexp(0, logits) - PROBABILITIES * logits)


BEST = log_loss(np.log(PROBABILITIES / (1 - PROBABILITIES)))


def draw_variables(model):
    """Layers and tables of a usual size; `model.init` takes seconds to compile."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        if name in ("bias", "mean", "scale", "var"):
            value = float(name in ("scale", "var"))
            return np.full(leaf.shape, value, np.float32)
        layer = leaf.ndim >= 2 and name != "table"
        stddev = leaf.shape[-2] ** -0.5 if layer else 0.3
        return rng.normal(0, stddev, leaf.shape).astype(np.float32)

    shapes = jax.eval_shape(model.init, jax.random.key(0), FEATURES)
    return jax.tree.map_with_path(draw, dict(shapes))


def trained_log_loss(name, *, num_steps=120):
    """Adam on all rows at once, their probabilities for labels, so without any noise.

    One vector holds all parameters: compiling takes most of the time.
    """
    model = samples.narrow(models.make(name, vocab_size=sum(FIELD_SIZES)))
    fields = [field.name for field in dataclasses.fields(model)]
    rates = [field for field in fields if field.endswith("dropout_rate")]
    model = model.clone(**dict.fromkeys(rates, 0.0))
    rest = draw_variables(model)
    start, unravel = ravel_pytree(rest.pop("params"))
    tx = optax.adam(0.05)

    def loss(params, rest):
        logits, rest = model.apply(
            {"params": unravel(params), **rest}, FEATURES, train=True, mutable=[*rest]
        )
        each = losses.sigmoid_cross_entropy(logits, PROBABILITIES.astype(np.float32))
        return each.mean(), rest

    def step(carry, _):
        params, opt_state, rest = carry
        gradient, rest = jax.grad(loss, has_aux=True)(params, rest)
        updates, opt_state = tx.update(gradient, opt_state)
        return (params + updates, opt_state, rest), None

    def train(start, rest):
        carry = (start, tx.init(start), rest)
        (params, _, rest), _ = jax.lax.scan(step, carry, length=num_steps)
        return model.apply({"params": unravel(params), **rest}, FEATURES)

    return log_loss(jax.jit(train)(start, rest))


@pytest.mark.parametrize("name", sorted({*models.names()} - FIRST_ORDER))
def test_a_model_of_interactions_beats_every_first_order_model(name):
    found = trained_log_loss(name)
    # Nearly all of what a first-order model cannot have.
    assert BEST - 1e-6 < found < BEST + 0.1 * (COIN - BEST)


@pytest.mark.parametrize("name", sorted(FIRST_ORDER))
def test_a_first_order_model_comes_down_to_a_coin(name):
    assert trained_log_loss(name) == pytest.approx(COIN, abs=1e-3)
