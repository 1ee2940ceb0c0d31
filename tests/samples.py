"""Random features and parameters for tests, distinct from row to row."""

import dataclasses
import functools
import math

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np

from afm_jax import models
from afm_jax.features import Features
from afm_jax.training.state import TrainState

FIELD_SIZES = (7, 5, 11, 4)
VOCAB_SIZE = sum(FIELD_SIZES)

FRAPPE_VOCAB_SIZE = 5389
"""Ids of the published Frappe runs: the 5,379 values of the training rows and one id for
unseen values in each of the 10 fields. Our encoding has an id for missing values too, so
a store of Frappe has 10 ids more, each a row in every table."""

KINDS = ("plain", "full")
"""'plain': one slot a field, no values, no dense columns. 'full': all there is."""

FULL_SLOTS = (1, 1, 3, 2)

TOWER = "afm_deep, dense_tower"
FORMS = (*models.names(), TOWER)
"""The models, and one with the tower in place of the first-order part."""

optimized_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 3}
)
"""`jax.jit` as users have it; tests compile with less effort (see conftest)."""


def slot_fields(kind):
    """The field of each slot; None for 'plain'."""
    if kind == "plain":
        return None
    return tuple(np.repeat(np.arange(len(FULL_SLOTS)), FULL_SLOTS).tolist())


def data_hyperparameters(kind):
    """The hyperparameters that a model takes from data of this kind."""
    return {"vocab_size": VOCAB_SIZE, "slot_fields": slot_fields(kind)}


def random_features(kind, *, seed=0, num_rows=6):
    """Features over FIELD_SIZES.

    'full' has random values, two multi-valued fields with at least one slot in use and
    the last slots unused in some rows, and three dense columns.
    """
    rng = np.random.default_rng(seed)
    offsets = np.cumsum((0, *FIELD_SIZES[:-1]))
    slots = (1,) * len(FIELD_SIZES) if kind == "plain" else FULL_SLOTS
    columns = [
        offset + rng.permuted(np.tile(np.arange(size), (num_rows, 1)), axis=1)[:, :n]
        for size, offset, n in zip(FIELD_SIZES, offsets, slots, strict=True)
    ]
    ids = np.concatenate(columns, axis=1).astype(np.int32)
    if kind == "plain":
        return Features(ids, None, np.zeros((num_rows, 0), np.float32))
    used = [
        np.arange(n) < rng.integers(1, n, (num_rows, 1), endpoint=True) for n in slots
    ]
    values = rng.uniform(0.5, 1.5, ids.shape) * np.concatenate(used, axis=1)
    dense = rng.normal(size=(num_rows, 3))
    return Features(ids, values.astype(np.float32), dense.astype(np.float32))


def make_form(form, **settings):
    """The narrow model of that name of `FORMS`."""
    name, _, inputs = form.partition(", ")
    if inputs:
        settings = {**settings, "first_order_inputs": inputs}
    return narrow(models.make(name, **settings))


def narrow(model):
    """The model with 2 layers of 24 units and 2 of all that it has a `num_` of at most, no
    two of `*_dims` alike.

    Random parameters then give logits of the size of 1 to 100, where float32 has digits
    to compare, and tests are fast; and 24 units of relu are not all 0 in a row, which
    would hide the row's features, as 1 unit to which 4 fields are squeezed may be.
    """
    widths = {}
    for field in dataclasses.fields(model):
        default = getattr(model, field.name)
        if field.name.endswith("_dims"):
            widths[field.name] = (24, 22)[: len(default)]
        elif field.name.endswith("_dim") and default is not None:
            widths[field.name] = min(default, 8)
        elif field.name.startswith("num_") or field.name == "reduction_ratio":
            widths[field.name] = min(default, 2)
    return model.clone(**widths)


def without_batch_statistics(model):
    """The model without batch normalization, which sees a batch differently in training.

    Variables of the normalization are then left over, which Flax allows.
    """
    if getattr(model, "normalization", None) == "batch":
        return model.clone(normalization=None)
    return model


def random_variables(model, features, *, seed=0, stddev=0.5):
    """Variables of the model with every parameter drawn from N(0, stddev).

    So no bias is 0, no scale is 1, and every part of the formula counts.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(seed), features)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda leaf: rng.normal(0, stddev, leaf.shape).astype(np.float32),
        shapes["params"],
    )

    rest = [name for name in shapes if name != "params"]
    if not rest:
        return {"params": params}
    others = initial_variables(
        model,
        features,
        lambda variables: {name: variables[name] for name in rest},
        seed=seed,
    )
    return {**others, "params": params}


def initial_variables(model, features, choose=lambda variables: variables, *, seed=0):
    """What `choose` takes of the variables that the model starts with.

    Compiling the draws takes longer than all else in `model.init`: a draw that is not
    chosen is not compiled, and the bits are those of `_HASH`, which compile fast.
    """
    key = jax.random.key(seed, impl=_HASH)
    return jax.jit(lambda key: choose(model.init(key, features)))(key)


def _mixed(bits):
    """Each of these 32 bits depends on all: lowbias32, github.com/skeeto/hash-prospector."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)


def _hashed(key, shape):
    """32 bits for each place of the shape."""
    places = jnp.arange(1, 1 + math.prod(shape), dtype=jnp.uint32)
    return _mixed(_mixed(places * jnp.uint32(0x9E3779B9)) + key).reshape(shape)


_HASH = jax.extend.random.define_prng_impl(
    key_shape=(1,),
    seed=lambda seed: _mixed(jnp.asarray(seed).astype(jnp.uint32).reshape(1)),
    split=lambda key, shape: _hashed(_mixed(key + 1), (*shape, 1)),
    random_bits=lambda key, width, shape: _hashed(key, shape).astype(f"uint{width}"),
    fold_in=lambda key, data: _mixed(key + _mixed(data + 1)),
    name="hash of a counter",
)
"""Keys whose draws compile in half the time of jax's own, for tests alone."""


def draw_quickly(monkeypatch):
    """Makes `jax.random.key` give keys of `_HASH`."""
    monkeypatch.setattr(
        jax.random, "key", functools.partial(jax.random.key, impl=_HASH)
    )


def random_state(model, tx, features, *, stddev=0.5):
    """A state on the host with the variables of `random_variables`.

    The optimizer's is that after gradients of such a size. From sums of squares of 0
    Adagrad would make a whole step of a gradient that is 0 but for rounding errors.
    """
    model_state = random_variables(model, features, stddev=stddev)
    params = model_state.pop("params")

    @jax.jit  # The updates are not asked for and not compiled.
    def opt_state_after(gradient):
        return tx.update(gradient, tx.init(params), params)[1]

    return TrainState(
        step=np.int32(0),
        params=params,
        model_state=model_state,
        opt_state=jax.tree.map(np.asarray, opt_state_after(params)),
        learning_rate_scale=np.float32(1),
        loss_sum=np.float32(0),
        weight_sum=np.float32(0),
        key=np.array([0, 1], np.uint32),
    )


def num_parameters(model, *, num_fields=10):
    """How many numbers the model learns, without dense columns."""
    features = Features(
        np.zeros((1, num_fields), np.int32), None, np.zeros((1, 0), np.float32)
    )
    shapes = jax.eval_shape(model.init, jax.random.key(0), features)["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))
