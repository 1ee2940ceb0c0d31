import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax import errors
from afm_jax.ops import losses


def test_by_hand():
    logits = np.array([0.0, np.log(3.0), np.log(3.0)], np.float32)
    labels = np.array([1.0, 1.0, 0.0], np.float32)
    # sigmoid(log 3) = 3/4.
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, labels),
        [np.log(2), np.log(4 / 3), np.log(4)],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        losses.squared_error(np.array([0.5, -0.5], np.float32), np.array([1.0, 0.0])),
        [0.25, 0.25],
    )


def test_sigmoid_cross_entropy_is_the_negative_log_probability_of_the_label():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 200).astype(np.float32)
    labels = rng.uniform(size=200).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = -labels * np.log(p) - (1 - labels) * np.log1p(-p)
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, labels), expected, rtol=1e-5
    )


@pytest.mark.parametrize("logit", [20.0, 90.0, 1e4])
def test_sigmoid_cross_entropy_is_exact_far_out(logit):
    logits = jnp.array([logit, logit, -logit, -logit])
    labels = jnp.array([1.0, 0.0, 1.0, 0.0])
    right = np.log1p(np.exp(-logit))
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, labels),
        [right, logit, logit, right],
        rtol=1e-6,
        atol=1e-37,
    )
    gradient = jax.grad(lambda z: losses.sigmoid_cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, [0, 1, -1, 0], atol=1e-8)


def test_gradient_of_sigmoid_cross_entropy_is_probability_minus_label():
    logits = jnp.array([-2.0, 0.0, 0.7])
    labels = jnp.array([0.0, 1.0, 0.0])
    gradient = jax.grad(lambda z: losses.sigmoid_cross_entropy(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, jax.nn.sigmoid(logits) - labels, rtol=1e-6)


def test_focal_by_hand():
    # sigmoid(log 3) = 3/4; a label of probability 3/4 counts (1/4)^2, one of 1/4 (3/4)^2.
    logits = np.full(2, np.log(3.0), np.float32)
    np.testing.assert_allclose(
        losses.focal(logits, np.array([1.0, 0.0])),
        [np.log(4 / 3) / 16, 9 * np.log(4) / 16],
        rtol=1e-6,
    )


def test_focal_without_gamma_is_cross_entropy_and_numbers_reach_it():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 200).astype(np.float32)
    labels = rng.integers(0, 2, 200).astype(np.float32)
    expected = losses.sigmoid_cross_entropy(logits, labels)
    found = losses.make("focal", gamma=0)(logits, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    by_default = losses.make("focal")(logits, labels)
    np.testing.assert_array_equal(by_default, losses.focal(logits, labels, gamma=2.0))
    with pytest.raises(errors.InputError, match="focal has no hyperparameter 'gama'"):
        losses.make("focal", gama=2)


def test_focal_has_a_finite_value_and_gradient_far_out():
    logits, labels = jnp.array([90.0, 90.0, -90.0]), jnp.array([1.0, 0.0, 1.0])
    np.testing.assert_allclose(losses.focal(logits, labels), [0.0, 90.0, 90.0])
    gradient = jax.grad(lambda z: losses.focal(z, labels).sum())(logits)
    np.testing.assert_allclose(gradient, [0.0, 1.0, -1.0], atol=1e-6)


def test_squared_error_is_least_at_minus_one_and_one():
    z = jnp.linspace(-3, 3, 601)
    for label, target in ((0.0, -1.0), (1.0, 1.0)):
        best = z[jnp.argmin(losses.squared_error(z, jnp.full_like(z, label)))]
        np.testing.assert_allclose(best, target, atol=1e-6)


@pytest.mark.parametrize("name", losses.names())
def test_refuses_logits_of_another_shape(name):
    with pytest.raises(ValueError, match=r"shape \(3, 1\), labels \(3,\)"):
        losses.make(name)(jnp.ones((3, 1)), jnp.ones(3))


def test_make_finds_losses_by_name():
    assert losses.make("squared_error").function is losses.squared_error
    with pytest.raises(
        errors.InputError,
        match=rf"^Unknown loss 'bce'; choose from {re.escape(str(losses.names()))}\.$",
    ):
        losses.make("bce")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.97])
@pytest.mark.parametrize("name", losses.names())
def test_no_constant_fits_labels_better_than_the_best_constant(name, share):
    labels = (np.arange(1000) < 1000 * share).astype(np.float32)
    best = losses.make(name).best_constant(labels.mean(), labels.size)

    def mean_loss(logit):
        return float(losses.make(name)(np.full(1000, logit), labels).mean())

    for off in (-0.05, 0.05):
        assert mean_loss(best + off) > mean_loss(best)


def test_the_best_constant_by_hand():
    assert losses.make("squared_error").best_constant(0.25, 100) == -0.5
    assert losses.make("squared_error").best_constant(0.0, 100) == -1.0
    assert losses.make("sigmoid_cross_entropy").best_constant(0.5, 2) == 0.0
    # One row in four.
    found = losses.make("sigmoid_cross_entropy").best_constant(0.25, 4)
    assert found == pytest.approx(-np.log(3))


def test_regression_takes_outputs_and_labels_as_they_are():
    loss = losses.make("regression")
    outputs, labels = np.array([1.5, -2.0, 7.0]), np.array([3.0, -2.5, 7.0])
    np.testing.assert_allclose(
        loss(jnp.array(outputs), jnp.array(labels)), [2.25, 0.25, 0]
    )
    np.testing.assert_array_equal(loss.predict(outputs), outputs)
    np.testing.assert_array_equal(loss.target(labels), labels)
    assert loss.best_constant(labels.mean(), 3) == 2.5


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ([0, 1], ("binary", "binary", "real")),
        ([0, 0.5], ("probability", "binary", "real")),
        ([0, 2], ("probability", "binary", "real")),
    ],
)
def test_the_kind_of_labels_is_one_that_the_loss_is_for(labels, kinds):
    names = ("sigmoid_cross_entropy", "squared_error", "regression")
    found = [losses.make(name).label_kind(np.array(labels)) for name in names]
    assert tuple(found) == kinds


@pytest.mark.parametrize(("label", "sign"), [(0.0, -1), (1.0, 1)])
def test_labels_of_one_class_count_half_a_row_of_the_other(label, sign):
    found = losses.make("sigmoid_cross_entropy").best_constant(label, 50)
    assert found == pytest.approx(sign * np.log(99))
