"""What an optimizer does to a table row at rest is found by trying it, or said not to be."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from afm_jax.training import optimizers, resting

PARAMS = {
    "embedding": {"table": np.zeros((7, 3), np.float32)},
    "first_order": {
        "bias": np.zeros(1, np.float32),
        "table": np.zeros((7, 1), np.float32),
    },
}
WARM_UP = optimizers.make_schedule("cosine", 1e-2, warmup_steps=3, total_steps=20)
COUNTS = np.arange(20)


def only_law(tx):
    found = resting.find(tx, PARAMS)
    assert not isinstance(found, str), found
    (law,) = found.laws
    assert found.law_of == {"embedding/table": 0, "first_order/table": 0}
    return law, found.rates(0, len(COUNTS))[0]


@pytest.mark.parametrize("rate", [1e-3, WARM_UP], ids=["constant", "warm-up"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_found_whatever_stands_around_it(rate, decay):
    adam = optax.adamw(rate, b1=0.8, b2=0.99, eps=1e-6, weight_decay=decay)
    tx = optax.chain(optax.clip_by_global_norm(1.0), adam)
    law, rates = only_law(tx)
    np.testing.assert_allclose(law.decays, [0.8, 0.99], rtol=1e-6)
    assert (law.first, law.second, law.has_eps) == (0, 1, True)
    assert law.shrinks is (decay > 0)
    t = COUNTS + 1
    lr = np.array([rate(count) if callable(rate) else rate for count in COUNTS])
    first = lr * 0.8 / (1 - 0.8**t)
    np.testing.assert_allclose(rates.near, first / 1e-6, rtol=1e-4)
    far = first / np.sqrt(0.99 / (1 - 0.99**t))
    np.testing.assert_allclose(rates.far, far, rtol=1e-4)
    np.testing.assert_allclose(rates.shrink, lr * decay, rtol=1e-4)


def test_without_eps_only_the_far_rate_counts():
    law, _ = only_law(optax.adam(1e-3, eps=0.0))
    assert not law.has_eps


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_has_no_second_state(nesterov):
    numbers = {"momentum": 0.7, "nesterov": nesterov}
    law, rates = only_law(optimizers.make("sgd", 0.1, numbers=numbers))
    np.testing.assert_allclose(law.decays, [0.7], rtol=1e-6)
    assert (law.first, law.second) == (0, None)
    moved = 0.1 * 0.7 * (0.7 if nesterov else 1)
    np.testing.assert_allclose(rates.near, moved, rtol=1e-5)


@pytest.mark.parametrize("name", ["rmsprop", "adagrad", "sgd"])
def test_rows_stay_under_what_only_scales_gradients(name):
    law, _ = only_law(optimizers.make(name, 0.1))
    assert law.first is None
    assert law.moves is (name == "rmsprop")  # whose mean of squares decays


@pytest.mark.parametrize(
    "tx",
    [
        optimizers.make("adam", 1e-3, table_l2=0.1),
        optimizers.make("adagrad", 0.1, table_l2=0.1),
        optimizers.make("sgd", 0.1, table_l2=0.1),
        optax.chain(optax.add_decayed_weights(0.1), optax.sgd(WARM_UP, momentum=0.9)),
    ],
    ids=["adam", "adagrad", "sgd", "momentum"],
)
def test_a_penalty_in_the_gradient_is_no_decay_of_resting_rows(tx):
    law, _ = only_law(tx)
    assert not law.shrinks


def test_tables_that_rest_otherwise_have_laws_of_their_own():
    label = {"embedding": "slow", "first_order": "fast"}
    rates = {"slow": optax.adam(1e-3), "fast": optax.adam(1e-2)}
    found = resting.find(optax.multi_transform(rates, label), PARAMS)
    assert len(found.laws) == 2
    slow, fast = found.rates(0, 3)
    np.testing.assert_allclose(10 * slow.far, fast.far, rtol=1e-4)


def test_parts_of_an_optimizer_share_no_law():
    # Their learning rates differ only between the updates at which laws are tried.
    rates = {
        name: optax.adam(lambda t, end=end: jnp.where(t < end, 1e-3, 0.0))
        for name, end in (("slow", 1030), ("fast", 1060))
    }
    label = {"embedding": "slow", "first_order": "fast"}
    found = resting.find(optax.multi_transform(rates, label), PARAMS)
    slow, fast = found.rates(1040, 1041)
    assert (slow.far, fast.far > 0) == (0, True)


def test_an_exponential_decay_may_end_below_all_numbers():
    rate = optax.exponential_decay(1e-2, 100, 0.9)
    law, rates = only_law(optax.adam(rate))
    assert (law.first, law.second) == (0, 1)
    assert rates.far.min() > 0


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.85), (0.9, 0.82), (0.5, 0.3)])
def test_no_closed_form_is_known_where_v_decays_before_m(b1, b2):
    assert "no closed form" in resting.find(optax.adam(1e-3, b1=b1, b2=b2), PARAMS)


def test_late_updates_are_not_overseen():
    law, _ = only_law(optax.adam(lambda t: jnp.where((t > 130) & (t < 250), 1e-2, 0.0)))
    assert law.first == 0


@pytest.mark.parametrize("name", ["adabelief", "adamax", "amsgrad", "lion", "radam"])
def test_what_has_no_closed_form_is_named(name):
    found = resting.find(optimizers.make(name, 1e-3), PARAMS)
    assert "no closed form is known" in found
    assert "embedding/table" in found


def test_a_state_that_is_more_than_a_count_is_named():
    tx = optax.inject_hyperparams(optax.adam)(learning_rate=WARM_UP)
    assert "more than a count" in resting.find(tx, PARAMS)


def test_states_of_another_type_than_the_table_are_named():
    tx = optax.adam(1e-3, mu_dtype=jnp.bfloat16)
    assert "of another type" in resting.find(tx, PARAMS)
