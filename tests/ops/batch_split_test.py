import functools

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from afm_jax.ops import batch_split, blocked_attention, pallas_attention

MESH = jax.make_mesh(
    (4,),
    (batch_split.BATCH_AXIS,),
    axis_types=(AxisType.Auto,),
    devices=jax.devices()[:4],
)
SPLIT = NamedSharding(MESH, P(batch_split.BATCH_AXIS))
OTHER = jax.make_mesh((4,), ("model",), axis_types=(AxisType.Auto,))


def on(mesh, function):
    def traced(*arguments):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*arguments)

    return jax.jit(traced)


def test_a_mesh_says_how_many_devices_share_a_batch():
    found = []

    def look(rows):
        found.append(batch_split.num_parts())
        return rows

    rows = np.zeros((8, 1), np.float32)
    look(rows)
    jax.pmap(look, batch_split.BATCH_AXIS)(rows.reshape(4, 2, 1))
    rows = jax.device_put(rows, SPLIT)
    on(MESH, look)(rows)
    on(OTHER, look)(rows)
    on(MESH, lambda rows: batch_split.by_rows(look, 8)(look(rows)))(rows)
    # Where the batch is split already, nobody else's rows are at hand.
    assert found == [1, 1, 4, 1, 4, 1]


# Rows of a device fill several blocks; rows that the devices cannot share evenly.
@pytest.mark.parametrize(("num_rows", "dropped"), [(128, True), (70, False)])
@pytest.mark.parametrize(
    "pooling",
    [
        functools.partial(blocked_attention.attention_pooling, rows=16),
        functools.partial(pallas_attention.attention_pooling, interpret=True),
    ],
    ids=["blocked", "pallas"],
)
def test_each_device_computes_its_rows_of_the_same_values_and_gradients(
    pooling, dropped, num_rows
):
    rng = np.random.default_rng(num_rows)
    shapes = ((num_rows, 4, 3), (3, 2), (2,), (2,), (num_rows, 3))
    embeddings, *network, direction = (
        rng.normal(size=shape).astype(np.float32) for shape in shapes
    )
    network = blocked_attention.Network(*network)
    scale = None
    if dropped:
        scale = 2 * rng.integers(0, 2, (num_rows, 6)).astype(np.float32)

    def objective(embeddings, network, scale):
        split = batch_split.by_rows(pooling, num_rows, whole=(1,))
        pooled = split(embeddings, network, scale)
        return (pooled * direction).sum(), pooled

    both = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    if num_rows % 4 == 0:
        embeddings = jax.device_put(embeddings, SPLIT)
    found = on(MESH, both)(embeddings, network, scale)
    expected = jax.jit(both)(embeddings, network, scale)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
        found,
        expected,
    )
