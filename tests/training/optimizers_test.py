"""Optimizers and schedules by name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import samples

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.training import optimizers

PARAMS = {
    "embedding": {"table": jnp.array([[1.0, -2.0]])},
    "output": {"kernel": jnp.array([3.0])},
}
GRADIENTS = {
    "embedding": {"table": jnp.array([[0.5, 0.25]])},
    "output": {"kernel": jnp.array([-1.0])},
}


def update_of(tx):
    updates, _ = tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)
    return updates["embedding"]["table"], updates["output"]["kernel"]


def test_the_two_penalties_act_apart():
    table, kernel = update_of(optimizers.make("sgd", 0.1, table_l2=0.2, l2=0.4))
    np.testing.assert_allclose(
        table, [[-0.1 * (0.5 + 0.2), -0.1 * (0.25 - 0.4)]], rtol=1e-6
    )
    np.testing.assert_allclose(kernel, [-0.1 * (-1.0 + 1.2)], rtol=1e-6)


def test_the_penalty_on_the_attention_kernel_is_on_nothing_else():
    kernel = jnp.array([[2.0], [-4.0]])
    network = {"kernel": kernel, "query": jnp.array([5.0]), "bias": jnp.array([0.0])}
    params = {**PARAMS, "attention": network}
    tx = optimizers.make("sgd", 0.1, l2=0.1, attention_l2=0.3)
    zeros = jax.tree.map(jnp.zeros_like, params)
    updates, _ = tx.update(zeros, tx.init(params), params)
    np.testing.assert_allclose(updates["attention"]["kernel"], -0.04 * kernel)
    np.testing.assert_allclose(updates["attention"]["query"], [-0.05])
    np.testing.assert_allclose(updates["output"]["kernel"], [-0.03])
    np.testing.assert_array_equal(updates["embedding"]["table"], 0.0)


@pytest.mark.parametrize("name", models.names())
def test_only_models_that_learn_attention_over_pairs_have_a_penalty_on_it(name):
    model = models.make(name, **samples.data_hyperparameters("plain"))
    features = samples.random_features("plain")
    tx = optimizers.make("adam", 0.1, attention_l2=0.3)

    def init(model):
        params = model.init(jax.random.key(0), features)["params"]
        return tx.init(params)

    if name in ("afm", "afm_deep"):
        jax.eval_shape(functools.partial(init, model))
        model = model.clone(attention_weights="uniform")
    with pytest.raises(InputError, match="attention_l2"):
        jax.eval_shape(functools.partial(init, model))


def test_clipping_is_by_the_norm_of_gradient_and_penalty():
    table, kernel = update_of(optimizers.make("sgd", 1.0, l2=0.4, clip_norm=0.1))
    norm = np.sqrt(0.5**2 + 0.25**2 + 0.2**2)
    np.testing.assert_allclose(table, [[-0.05 / norm, -0.025 / norm]], rtol=1e-6)
    np.testing.assert_allclose(kernel, [-0.02 / norm], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", optax.adam(0.1)),
        ("sgd", optax.sgd(0.1)),
    ],
)
def test_without_options_each_is_optax_own(name, reference):
    for ours, theirs in zip(
        update_of(optimizers.make(name, 0.1)), update_of(reference), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-8])
def test_adagrad_starts_at_0_so_that_the_scale_of_the_loss_does_not_matter(scale):
    tx = optimizers.make("adagrad", 0.1)
    run = tx.init(PARAMS)
    first = jnp.array([[1.0, -2.0]])
    for gradient, expected in (
        (first, -0.1 * jnp.sign(first)),
        (0.75 * first, -0.1 * 0.6 * jnp.sign(first)),  # 0.75 / sqrt(1 + 0.75^2)
    ):
        gradients = {"embedding": {"table": scale * gradient}}
        gradients["output"] = {"kernel": jnp.zeros(1)}
        updates, run = tx.update(gradients, run, PARAMS)
        np.testing.assert_allclose(updates["embedding"]["table"], expected, rtol=1e-5)
        np.testing.assert_array_equal(updates["output"]["kernel"], 0.0)


def test_adamw_decays_apart_from_the_gradient():
    ours = update_of(optimizers.make("adamw", 0.1, table_l2=0.3, l2=0.3))
    theirs = update_of(optax.adamw(0.1, weight_decay=0.3))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "numbers", "reference"),
    [
        ("adam", {"b2": 0.5, "eps": 0.1}, optax.adam(0.1, b2=0.5, eps=0.1)),
        ("sgd", {"momentum": 0.9}, optax.sgd(0.1, momentum=0.9)),
        ("adagrad", {"eps": 0.3}, optax.adagrad(0.1, 0.0, 0.3)),
        ("rmsprop", {"decay": 0.5}, optax.rmsprop(0.1, decay=0.5)),
        ("lion", {}, optax.lion(0.1)),
    ],
)
def test_numbers_of_an_optimizer_are_those_of_optax(name, numbers, reference):
    ours, theirs = optimizers.make(name, 0.1, numbers=numbers), reference
    states = ours.init(PARAMS), theirs.init(PARAMS)
    for gradients in (GRADIENTS, PARAMS):
        found, expected = (
            tx.update(gradients, run, PARAMS)
            for tx, run in zip((ours, theirs), states, strict=True)
        )
        states = found[1], expected[1]
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5),
            found[0],
            expected[0],
        )


def test_an_optimizer_of_optax_takes_penalties_and_clipping_before_it():
    clipped = optimizers.make("rmsprop", 0.1, l2=0.4, clip_norm=0.1)
    by_hand = optax.chain(
        optax.add_decayed_weights(
            0.4, mask={"embedding": {"table": False}, "output": {"kernel": True}}
        ),
        optax.clip_by_global_norm(0.1),
        optax.rmsprop(0.1),
    )
    for ours, theirs in zip(update_of(clipped), update_of(by_hand), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_makes_updates_of_gradients_or_says_that_it_cannot(name):
    try:
        tx = optimizers.make(name, 0.1)
    except InputError as error:
        assert "does not work on gradients alone" in str(error)  # noqa: PT017
        return
    assert all(np.isfinite(update).all() for update in update_of(tx))


def test_cosine_rises_then_falls_to_zero():
    schedule = optimizers.make_schedule("cosine", 0.4, warmup_steps=4, total_steps=24)
    rates = [float(schedule(step)) for step in (0, 2, 4, 14, 24)]
    np.testing.assert_allclose(rates, [0, 0.2, 0.4, 0.2, 0], atol=1e-7)


def test_constant_stays():
    schedule = optimizers.make_schedule("constant", 0.4, warmup_steps=0, total_steps=9)
    assert float(schedule(0)) == float(schedule(8)) == pytest.approx(0.4)


def test_mistakes_are_named():
    with pytest.raises(InputError, match="Unknown optimizer 'adm'"):
        optimizers.make("adm", 0.1)
    with pytest.raises(InputError, match="adam has no hyperparameter 'b3'; it has"):
        optimizers.make("adam", 0.1, numbers={"b3": 0.5})
    with pytest.raises(InputError, match="rmsprop's decay is 'x'; expected"):
        optimizers.make("rmsprop", 0.1, numbers={"decay": "x"})
    with pytest.raises(InputError, match="Unknown schedule 'linear'"):
        optimizers.make_schedule("linear", 0.1, warmup_steps=0, total_steps=9)
    with pytest.raises(InputError, match="warmup_steps"):
        optimizers.make_schedule("cosine", 0.1, warmup_steps=9, total_steps=9)
