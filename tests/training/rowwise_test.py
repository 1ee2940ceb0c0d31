"""Optimizers that row updates serve are told from those that look at whole tables."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from afm_jax.errors import InputError
from afm_jax.training import optimizers, rowwise

PARAMS = {
    "embedding": {"table": np.zeros((900, 16), np.float32)},
    "first_order": {"table": np.zeros((900, 1)), "bias": np.zeros(1)},
    "attention": {name: np.zeros((3, 2)) for name in ("kernel", "bias", "query")},
}


def chain(*transformations):
    return optax.chain(*transformations, optax.sgd(0.1))


def ours(name, **settings):
    return optimizers.make(name, 1e-3, **settings)


BY_ROWS = {
    "momentum": optax.sgd(0.1, momentum=0.9, nesterov=True),
    **{
        name: getattr(optax, name)(0.1)
        for name in (
            "adam",
            "adamw",
            "adagrad",
            "sgd",
            "rmsprop",
            "adabelief",
            "lion",
            "nadam",
            "yogi",
            "radam",
            "amsgrad",
            "adadelta",
        )
    },
    "clip by a global norm": chain(optax.clip_by_global_norm(1e-3)),
    "clip by value": chain(optax.clip(1e-3)),
    "ours, clipped": ours("adam", clip_norm=10.0),
    "ours, with penalties": ours("adagrad", table_l2=0.1, l2=0.1, attention_l2=0.1),
    "ours, all of it": ours("sgd", table_l2=0.1, l2=0.1, clip_norm=1e-3),
    "ours, decayed": ours("adamw", table_l2=0.1, l2=0.1, clip_norm=10.0),
}

NOT_BY_ROWS = {
    **{
        name: getattr(optax, name)(0.1)
        for name in ("lamb", "lars", "fromage", "novograd", "sm3", "adafactor")
    },
    "factored alone": optax.adafactor(
        0.1,
        min_dim_size_to_factor=16,
        clipping_threshold=None,
        multiply_by_parameter_scale=False,
    ),
    "one vector": optax.flatten(optax.adam(0.1)),
    "mean over a table": chain(optax.clip_by_block_rms(1.0)),
    "norm of a table": chain(optax.scale_by_param_block_norm()),
    "clip by the norm of parameters": chain(optax.adaptive_grad_clip(0.1)),
    "muon": optax.contrib.muon(0.1),
    "several batches": optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation(),
    "every fourth batch": chain(optax.apply_every(4)),
}


@pytest.mark.parametrize("name", BY_ROWS)
def test_elementwise_optimizers_clipping_and_penalties_pass(name):
    rowwise.check(BY_ROWS[name], PARAMS)


@pytest.mark.parametrize("name", NOT_BY_ROWS)
def test_optimizers_that_mix_table_rows_are_refused(name):
    with pytest.raises(InputError, match="table_update='dense'") as caught:
        rowwise.check(NOT_BY_ROWS[name], PARAMS)
    assert "\n" not in str(caught.value)


def test_what_mixes_other_parameters_alone_passes():
    def label(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "adam" if path[-1].key == "table" else "lamb", params
        )

    choices = {"adam": optax.adam(0.1), "lamb": optax.lamb(0.1)}
    rowwise.check(optax.multi_transform(choices, label), PARAMS)


def test_a_step_that_is_being_traced_can_check():
    @jax.jit
    def step(x):
        rowwise.check(optax.rmsprop(0.2), PARAMS)
        return x + 1

    assert step(jnp.zeros(())) == 1
