import jax
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

from afm_jax.ops import attention, pallas_attention
from afm_jax.ops.blocked_attention import Network


def random_inputs(num_rows, num_fields, k, t):
    """Embeddings and network, all different."""
    rng = np.random.default_rng(num_rows)
    shapes = ((num_rows, num_fields, k), (k, t), (t,), (t,))
    embeddings, *network = (
        rng.normal(size=shape).astype(np.float32) for shape in shapes
    )
    return embeddings, Network(*network)


def value_and_gradients(pooling, embeddings, network):
    direction = np.random.default_rng(0).normal(size=embeddings[:, 0].shape)

    def objective(embeddings, network):
        pooled = pooling(embeddings, network)
        return (pooled * direction.astype(np.float32)).sum(), pooled

    gradient = jax.jit(jax.grad(objective, argnums=(0, 1), has_aux=True))
    return gradient(embeddings, network)


# Tiles of which the last is not full and widths that are filled up; full tiles; the
# smaller tiles of a wide network.
@pytest.mark.parametrize(
    ("sizes", "dropout_rate"),
    [((70, 4, 3, 7), 0.0), ((64, 4, 16, 32), 0.4), ((20, 5, 40, 10), 0.2)],
)
def test_value_and_gradients_equal_the_reference(sizes, dropout_rate):
    num_rows, num_fields, *_ = sizes
    key, scale = jax.random.key(3), None
    if dropout_rate:
        num_pairs = num_fields * (num_fields - 1) // 2
        kept = jax.random.bernoulli(key, 1 - dropout_rate, (num_rows, num_pairs))
        scale = kept / (1 - dropout_rate)

    def kernel(embeddings, network):
        return pallas_attention.attention_pooling(
            embeddings, network, scale, interpret=True
        )

    def reference(embeddings, network):
        return attention.attention_pooling(
            embeddings,
            *network,
            dropout_rate=dropout_rate,
            key=key,
            implementation="reference",
        )

    inputs = random_inputs(*sizes)
    found, expected = (value_and_gradients(f, *inputs) for f in (kernel, reference))
    for ours, theirs in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        scale_of_array = max(1e-3, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * scale_of_array)


# So newer jax says; the successor, Mosaic GPU, takes a kernel written anew.
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated")
def test_the_kernels_compile_to_triton():
    """Without a GPU: down to Triton's own language, where sizes and types are checked."""
    inputs = random_inputs(100, 39, 10, 16)

    def objective(embeddings, network):
        return attention.attention_pooling(
            embeddings, *network, implementation="pallas"
        ).sum()

    gradient = jax.jit(jax.grad(objective, argnums=(0, 1)))
    gpu = AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
    with use_abstract_mesh(AbstractMesh((1,), ("data",), abstract_device=gpu)):
        program = gradient.trace(*inputs).lower(lowering_platforms=("cuda",)).as_text()
    assert program.count("xla.gpu.triton") == 2
