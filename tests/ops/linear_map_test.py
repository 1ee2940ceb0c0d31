import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afm_jax.ops.linear_map import linear_map

CALLS = []


@jax.custom_jvp
def cubes(x, y):
    return x**3 * y


@cubes.defjvp
def _derivative(inputs, tangents):
    return cubes(*inputs), linear_map(_tangent, _backward, inputs, tangents)


def _tangent(inputs, tangents):
    (x, y), (of_x, of_y) = inputs, tangents
    return 3 * x**2 * y * of_x + x**3 * of_y


def _backward(inputs, cotangent):
    CALLS.append(cotangent.shape)
    x, y = inputs
    return 3 * x**2 * y * cotangent, x**3 * cotangent


X, Y = np.random.default_rng(0).uniform(1, 2, (2, 5)).astype(np.float32)


def plain(x, y):
    return x**3 * y


DERIVATIVES = {
    "grad": lambda f: jax.grad(lambda x, y: f(x, y).sum(), (0, 1)),
    "jvp": lambda f: lambda x, y: jax.jvp(f, (x, y), (y, x)),
    "jvp of one": lambda f: lambda x, y: jax.jvp(lambda y: f(x, y), (y,), (x,)),
    "jacfwd": lambda f: jax.jacfwd(f, (0, 1)),
    "jacrev": lambda f: jax.jacrev(f, (0, 1)),
    "hessian": lambda f: jax.hessian(lambda x, y: f(x, y).sum(), (0, 1)),
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
    "of a batch": lambda f: jax.vmap(jax.grad(f, (0, 1))),
    "gradient of a batch": lambda f: jax.grad(
        lambda x, y: jax.vmap(f, (0, None))(x, y[0]).sum(), (0, 1)
    ),
    "gradient of a loop": lambda f: jax.grad(
        lambda x, y: jax.lax.map(lambda each: f(*each), (x, y)).sum(), (0, 1)
    ),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_every_kind_are_those_of_the_function(name, compiled):
    jit = jax.jit if compiled else lambda function: function
    found, expected = (
        jit(DERIVATIVES[name](jit(function)))(X, Y) for function in (cubes, plain)
    )
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-5),
        found,
        expected,
    )


@pytest.mark.parametrize("name", ["grad", "of a batch", "gradient of a batch"])
def test_the_backward_pass_is_the_one_that_was_written(name):
    CALLS.clear()
    jax.make_jaxpr(DERIVATIVES[name](cubes))(jnp.asarray(X), jnp.asarray(Y))
    assert CALLS
