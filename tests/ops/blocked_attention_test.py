import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import samples

from afm_jax.ops import attention, blocked_attention

# Rows, fields, k, t, rows of a block: odd and even fields, one block and several, rows
# that fill the last block and rows that do not.
SIZES = [
    (1, 2, 1, 1, 16),
    (37, 5, 3, 7, 16),
    (64, 6, 4, 4, 16),
    (100, 7, 9, 2, 32),
    (50, 10, 10, 16, 64),
]


def random_inputs(num_rows, num_fields, k, t):
    """Embeddings and network, all different."""
    rng = np.random.default_rng(num_rows)
    shapes = ((num_rows, num_fields, k), (k, t), (t,), (t,))
    embeddings, *network = (
        rng.normal(size=shape).astype(np.float32) for shape in shapes
    )
    return embeddings, blocked_attention.Network(*network)


def value_and_gradients(pooling, embeddings, network, jit=jax.jit):
    direction = np.random.default_rng(0).normal(size=embeddings[:, 0].shape)

    def objective(embeddings, network):
        pooled = pooling(embeddings, network)
        return (pooled * direction.astype(np.float32)).sum(), pooled

    both = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (_, pooled), gradients = jit(both)(embeddings, network)
    return pooled, gradients


def assert_equal(found, expected):
    """To 1e-5 of the largest entry of each array."""
    for ours, theirs in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max()
        )


@pytest.mark.parametrize(
    ("sizes", "dropout_rate"),
    [*((sizes, 0.0) for sizes in SIZES), (SIZES[1], 0.4), (SIZES[4], 0.4)],
)
def test_value_and_gradients_equal_the_reference(sizes, dropout_rate):
    *shape, rows = sizes
    inputs = random_inputs(*shape)
    num_pairs = shape[1] * (shape[1] - 1) // 2
    key, scale = jax.random.key(3), None
    if dropout_rate:
        kept = jax.random.bernoulli(key, 1 - dropout_rate, (shape[0], num_pairs))
        scale = kept / (1 - dropout_rate)

    def blocked(embeddings, network):
        return blocked_attention.attention_pooling(embeddings, network, scale, rows)

    def reference(embeddings, network):
        return attention.attention_pooling(
            embeddings,
            *network,
            dropout_rate=dropout_rate,
            key=key,
            implementation="reference",
        )

    assert_equal(
        value_and_gradients(blocked, *inputs), value_and_gradients(reference, *inputs)
    )


def test_forward_mode_and_second_derivatives_equal_the_reference():
    """In float64: second derivatives are small differences of large numbers."""

    def reference(embeddings, network):
        return attention.attention_pooling(
            embeddings, *network, implementation="reference"
        )

    def blocked(embeddings, network):
        return blocked_attention.attention_pooling(embeddings, network, None, 16)

    def derivatives(pooling, embeddings, network):
        def objective(network):
            return (pooling(embeddings, network) ** 2).sum()

        inputs = (embeddings, network)
        return (
            jax.jvp(pooling, inputs, jax.tree.map(jnp.cos, inputs)),
            jax.hessian(objective)(network),
        )

    with jax.enable_x64(True):
        inputs = jax.tree.map(np.float64, random_inputs(37, 4, 3, 5))
        found, expected = (
            jax.jit(functools.partial(derivatives, pooling))(*inputs)
            for pooling in (blocked, reference)
        )
        assert_equal(found, expected)


@pytest.mark.parametrize("sizes", SIZES)
def test_weights_equal_the_reference(sizes):
    *shape, rows = sizes
    embeddings, network = random_inputs(*shape)
    np.testing.assert_allclose(
        blocked_attention.attention_weights(embeddings, network, rows),
        attention.attention_weights(embeddings, *network, implementation="reference"),
        rtol=1e-5,
    )


def test_the_same_weights_are_dropped_by_every_implementation():
    embeddings, network = random_inputs(40, 6, 4, 3)
    found, expected = (
        attention.attention_pooling(
            embeddings,
            *network,
            dropout_rate=0.5,
            key=jax.random.key(1),
            implementation=implementation,
        )
        for implementation in ("blocked", "reference")
    )
    assert_equal(found, expected)


def test_value_and_gradients_equal_the_reference_at_real_size():
    embeddings, network = random_inputs(4096, 26, 16, 16)
    embeddings, network = 0.3 * embeddings, network._replace(query=network.query / 4)

    def pooling(implementation):
        return lambda embeddings, network: attention.attention_pooling(
            embeddings, *network, implementation=implementation
        )

    found, expected = (
        value_and_gradients(
            pooling(name), embeddings, network, jit=samples.optimized_jit
        )
        for name in ("blocked", "reference")
    )
    # The reference sums 1.3 million terms in float32 and is the less exact of the two.
    query = (found[1][1].query, expected[1][1].query)
    np.testing.assert_allclose(*query, rtol=0, atol=1e-4 * np.abs(query[1]).max())
    assert_equal(
        (found[0], found[1][0], found[1][1][:2]),
        (expected[0], expected[1][0], expected[1][1][:2]),
    )


def test_memory_of_the_gradient_is_a_twentieth_of_the_references():
    shapes = random_inputs(4096, 39, 16, 16)

    def temporary_bytes(implementation):
        def objective(embeddings, network):
            return attention.attention_pooling(
                embeddings, *network, implementation=implementation
            ).sum()

        compiled = (
            samples.optimized_jit(jax.grad(objective, argnums=(0, 1)))
            .lower(*shapes)
            .compile()
        )
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes("blocked") <= temporary_bytes("reference") / 20


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [((26, 16, 16), 64), ((39, 16, 16), 32), ((10, 10, 128), 64), ((3, 4, 4), 1024)],
)
def test_the_largest_array_of_a_block_takes_about_1500_kib(sizes, rows):
    assert blocked_attention.block_rows(*sizes) == rows
