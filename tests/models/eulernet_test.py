import jax
import numpy as np
import pytest
import references
import samples

from afm_jax import models
from afm_jax.models import eulernet


def make(kind, **hyperparameters):
    """A small eulernet with random parameters, and features."""
    features = samples.random_features(kind)
    model = models.make(
        "eulernet",
        **samples.data_hyperparameters(kind),
        **{"embedding_dim": 3, "order_dims": (5, 2)} | hyperparameters,
    )
    return model, samples.random_variables(model, features), features


def first_vectors(params, features, kind):
    """Complex [B, M, k]: fields, then dense columns."""
    phases = references.embed_fields(
        params["embedding"]["table"],
        features.ids,
        features.values,
        samples.slot_fields(kind),
    )
    if features.dense.shape[1]:
        kernel = np.asarray(params["dense_embedding"]["kernel"], np.float64)
        numbers = [
            [d * u for d, u in zip(row, kernel, strict=True)] for row in features.dense
        ]
        phases = np.concatenate([phases, numbers], axis=1)
    modulus = np.asarray(params["modulus"], np.float64)
    return modulus[:, None] * np.exp(1j * phases)


def explicit(params, z):
    """[N, k] of one row's z [F, k]: products of principal powers."""
    orders, log_modulus_bias, phase_bias = (
        np.asarray(params[name], np.float64)
        for name in ("orders", "log_modulus_bias", "phase_bias")
    )
    result = np.exp(log_modulus_bias + 1j * phase_bias)
    for n in range(orders.shape[1]):
        for j in range(len(z)):
            result[n] *= z[j] ** orders[j, n]
    return result


def implicit(params, z):
    """[N, k] of one row's z [F, k]."""
    kernel, bias = (np.asarray(params[x], np.float64) for x in ("kernel", "bias"))
    parts = [
        np.maximum(part.reshape(-1) @ kernel + bias, 0) for part in (z.real, z.imag)
    ]
    return (parts[0] + 1j * parts[1]).reshape(-1, z.shape[1])


def layer_norm(params, x):
    mean = x.mean(axis=-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5) * params["scale"] + params["bias"]


def output(params, z):
    kernel, bias = (
        np.asarray(params["output"][x], np.float64) for x in ("kernel", "bias")
    )
    return (z.real + z.imag).reshape(len(z), -1) @ kernel[:, 0] + bias


@pytest.mark.parametrize("kind", samples.KINDS)
@pytest.mark.parametrize("order_dims", [(5, 2), (3,), ()])
@pytest.mark.parametrize("normalization", [None, "layer"])
def test_equals_the_formula(kind, order_dims, normalization):
    model, variables, features = make(
        kind, order_dims=order_dims, normalization=normalization
    )
    params = variables["params"]
    z = first_vectors(params, features, kind)
    for i in range(len(order_dims)):
        layer = params[f"euler_{i}"]
        z = np.array([explicit(layer, x) + implicit(layer["implicit"], x) for x in z])
        if normalization == "layer":
            z = layer_norm(layer["real_norm"], z.real) + 1j * layer_norm(
                layer["imaginary_norm"], z.imag
            )
    np.testing.assert_allclose(
        model.apply(variables, features), output(params, z), rtol=1e-4, atol=1e-4
    )


def test_identity_orders_and_no_implicit_part_change_nothing():
    model, variables, features = make("plain", order_dims=(4, 4))
    params = variables["params"]
    for i in range(2):
        layer = jax.tree.map(np.zeros_like, params[f"euler_{i}"])
        layer["orders"] = np.eye(4, dtype=np.float32)
        params[f"euler_{i}"] = layer
    np.testing.assert_allclose(
        model.apply(variables, features),
        output(params, first_vectors(params, features, "plain")),
        rtol=1e-5,
        atol=1e-5,
    )


def test_orders_start_with_one_field_a_vector():
    np.testing.assert_array_equal(
        eulernet.init_orders(jax.random.key(0), (5, 5)), np.eye(5)
    )
    orders = eulernet.init_orders(jax.random.key(0), (10, 32))
    np.testing.assert_allclose(orders.sum(axis=0), 1, rtol=1e-5)
    assert (orders.max(axis=0) > 0.9).mean() > 0.8
    assert len(np.unique(orders.argmax(axis=0))) > 5


def test_number_of_parameters_of_the_default_form():
    """1,000 ids, 10 fields: all by hand."""
    model = models.make("eulernet", vocab_size=1000)
    assert samples.num_parameters(model) == (
        1000 * 16
        + 10
        + (10 * 32 + 2 * 32 * 16)
        + (10 * 16 + 1) * 32 * 16
        + (32 * 16 + 1)
    )
