"""Untrained table rows become the mean of their field's trained rows, in every layout."""

import functools

import jax
import numpy as np
import pytest
import samples

from afm_jax import models
from afm_jax.features import Field, Schema
from afm_jax.training import leaves, optimizers, state, untrained
from afm_jax.training.devices import Devices

LAYOUTS = {
    "one device": {"count": 1},
    "mesh": {},
    "pmap": {"device_map": "pmap"},
    "rows": {"table_sharding": "rows"},
}


def schema_of(sizes):
    offsets = np.cumsum((0, *sizes[:-1])).tolist()
    return Schema(
        "toy",
        tuple(
            Field(f"f{i}", "categorical", size, offset)
            for i, (size, offset) in enumerate(zip(sizes, offsets, strict=True))
        ),
    )


def counts_of(sizes, seed=0):
    """Some ids of every field are in no training row; of the last field, all."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 50, sum(sizes)) * (rng.random(sum(sizes)) < 0.7)
    starts = np.cumsum((0, *sizes[:-1]))
    counts[starts] = 0
    counts[starts + 2] += 1
    counts[starts[-1] :] = 0
    return counts


def expected(table, sizes, counts):
    """Row by row, in float64."""
    filled, start = np.array(table, np.float64), 0
    for size in sizes:
        total, mean = 0, 0.0
        for i in range(start, start + size):
            total += counts[i]
            mean = mean + counts[i] * np.asarray(table[i], np.float64)
        for i in range(start, start + size):
            if counts[i] == 0 and total:
                filled[i] = mean / total
        start += size
    return filled


def make_devices(layout, vocab_size):
    settings = dict(LAYOUTS[layout])
    count = settings.pop("count", 4)
    return Devices(vocab_size, devices=jax.devices()[:count], **settings)


def state_of(table):
    """A state of which nothing else matters."""
    model, tx = models.make("lr", vocab_size=2), optimizers.make("sgd", 0.1)
    features = samples.random_features("plain")
    run = jax.tree.map(np.asarray, state.create(model, tx, features, jax.random.key(0)))
    return run._replace(params={"embedding": {"table": table}})


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["fm", "ffm"])
def test_untrained_rows_become_the_mean_of_their_field(name, layout):
    """ffm has a table of vectors for pairs of fields; 27 rows do not split in four."""
    sizes = samples.FIELD_SIZES
    model = models.make(name, **samples.data_hyperparameters("plain"))
    features = samples.random_features("plain")
    before = samples.random_state(model, optimizers.make("adam", 0.1), features)
    devices, counts = make_devices(layout, sum(sizes)), counts_of(sizes)
    placed = devices.place_state(before)
    fill = devices.compile_fill(placed, untrained.find(schema_of(sizes), counts))
    after = devices.gather_state(fill(placed))
    tables = leaves.by_name(state.tables(before.params))
    assert sum(tables.values()) == 2
    found = leaves.by_name(after.params)
    for path, old in leaves.by_name(before.params).items():
        right = expected(old, sizes, counts) if tables[path] else old
        np.testing.assert_allclose(found[path], right, rtol=1e-5, atol=1e-6)
        kept = found[path][counts > 0] if tables[path] else found[path]
        np.testing.assert_array_equal(kept, old[counts > 0] if tables[path] else old)
    rest = after._replace(params=None), before._replace(params=None)
    jax.tree.map(np.testing.assert_array_equal, *rest)


@pytest.mark.parametrize("shards", [1, 4])
def test_large_tables_are_summed_in_chunks(monkeypatch, shards):
    monkeypatch.setattr(untrained, "_CHUNK", 7)
    sizes = (40, 3, 12, 5)
    counts, rng = counts_of(sizes), np.random.default_rng(1)
    table = rng.normal(size=(60, 3)).astype(np.float32)
    run = state_of(table)
    rows = untrained.find(schema_of(sizes), counts)
    after = jax.jit(untrained.fill, static_argnames="shards")(run, rows, shards=shards)
    np.testing.assert_allclose(
        after.params["embedding"]["table"],
        expected(table, sizes, counts),
        rtol=1e-5,
        atol=1e-6,
    )


def test_many_equal_rows_have_themselves_as_mean():
    """Shares far below float32's digits of the sum must not get lost."""
    num_rows = 1_000_000
    counts = np.ones(num_rows, np.int64)
    counts[:2] = 0
    table = np.full((num_rows, 1), 0.1, np.float32)
    table[:2] = 9.0
    run = state_of(table)
    rows = untrained.find(schema_of((num_rows,)), counts)
    after = jax.jit(untrained.fill)(run, rows)
    np.testing.assert_allclose(after.params["embedding"]["table"][:2], 0.1, rtol=1e-4)


def test_tables_split_by_rows_are_whole_on_no_device():
    sizes = (4000, 96)
    model = models.make("fm", vocab_size=sum(sizes), embedding_dim=3)
    devices = make_devices("rows", sum(sizes))
    features = samples.random_features("plain")
    placed = devices.create_state(
        model, optimizers.make("sgd", 0.1), features, jax.random.key(0)
    )
    rows = untrained.find(schema_of(sizes), counts_of(sizes))
    shardings = jax.tree.map(lambda leaf: leaf.sharding, placed)
    fill = functools.partial(untrained.fill, shards=4)
    compiled = jax.jit(fill, out_shardings=shardings).lower(placed, rows).compile()
    text = compiled.as_text()
    assert "f32[1024,3]" in text
    assert "f32[4096,3]" not in text
    assert "f32[4,1024,3]" not in text
