import functools
import pathlib
import subprocess
import sys
import types

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import references
import samples
from jax.sharding import AbstractDevice, AbstractMesh, AxisType

from afm_jax import errors
from afm_jax.ops import attention, batch_split, interactions, pallas_attention

ROOT = pathlib.Path(__file__).parents[2]
SIZES = [(1, 2, 1, 1), (3, 3, 4, 2), (5, 4, 2, 7), (2, 6, 5, 3)]


def random_inputs(num_rows, num_fields, k, t):
    """Embeddings, kernel, bias and query, all different."""
    rng = np.random.default_rng(num_rows + 10 * num_fields)
    shapes = ((num_rows, num_fields, k), (k, t), (t,), (t,))
    return tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)


@pytest.fixture(params=["reference", "blocked"])
def attend(request):
    """The functions of `attention` in one of their implementations."""
    functions = (attention.attention_weights, attention.attention_pooling)
    return types.SimpleNamespace(
        **{
            function.__name__: functools.partial(function, implementation=request.param)
            for function in functions
        }
    )


def test_by_hand(attend):
    # One dimension, products 1 * 2 = 2, 1 * 3 = 3, 2 * 3 = 6. W = 1, b = -2, h = log 2:
    # scores log 2 times 0, 1, 4, so weights 1/19, 2/19, 16/19.
    embeddings = np.array([[[1.0], [2.0], [3.0]]], np.float32)
    parameters = (np.ones((1, 1)), np.array([-2.0]), np.array([np.log(2)]))
    np.testing.assert_allclose(
        attend.attention_weights(embeddings, *parameters),
        [[1 / 19, 2 / 19, 16 / 19]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        attend.attention_pooling(embeddings, *parameters),
        [[(1 * 2 + 2 * 3 + 16 * 6) / 19]],
        rtol=1e-6,
    )


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ["attention_weights", "attention_pooling"])
def test_equals_the_double_loop(attend, name, sizes):
    inputs = random_inputs(*sizes)
    np.testing.assert_allclose(
        getattr(attend, name)(*inputs),
        getattr(references, name)(*inputs),
        rtol=1e-5,
        atol=1e-5,
    )


def test_equals_the_formula_at_real_size(attend):
    inputs = random_inputs(4096, 10, 8, 16)
    v, kernel, bias, query = (x.astype(np.float64) for x in inputs)
    first, second = interactions.pair_indices(10)
    pairs = v[:, first] * v[:, second]
    weights = np.exp(np.maximum(pairs @ kernel + bias, 0) @ query)
    weights /= weights.sum(axis=1, keepdims=True)
    expected = (weights[:, :, None] * pairs).sum(axis=1)
    found = samples.optimized_jit(attend.attention_pooling)(*inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_weights_sum_to_one_over_the_pairs_and_differ_between_them(attend):
    inputs = random_inputs(6, 5, 4, 3)
    weights = attend.attention_weights(*inputs)
    assert weights.shape == (6, 10)
    assert (weights > 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), np.ones(6), rtol=1e-5)
    assert (weights.std(axis=1) > 0.01).all()


def test_weights_of_a_row_do_not_depend_on_other_rows(attend):
    embeddings, *parameters = random_inputs(6, 5, 4, 3)
    alone = attend.attention_weights(embeddings[2:3], *parameters)
    together = attend.attention_weights(embeddings, *parameters)[2:3]
    np.testing.assert_allclose(alone, together, rtol=1e-6)


@pytest.mark.parametrize("argument", [1, 2, 3], ids=["kernel", "bias", "query"])
def test_attention_parameters_receive_the_gradient_of_finite_differences(
    attend, argument
):
    inputs = random_inputs(4, 5, 3, 6)
    direction = np.random.default_rng(1).normal(size=(4, 3))

    def objective(x):
        changed = (*inputs[:argument], x, *inputs[argument + 1 :])
        return (attend.attention_pooling(*changed) * direction).sum()

    def reference(x):
        changed = (*inputs[:argument], x, *inputs[argument + 1 :])
        return (references.attention_pooling(*changed) * direction).sum()

    gradient = jax.jit(jax.grad(objective))(inputs[argument])
    expected = np.zeros(gradient.shape)
    for index in np.ndindex(gradient.shape):
        step = np.zeros(gradient.shape)
        step[index] = 1e-6
        at = inputs[argument].astype(np.float64)
        expected[index] = (reference(at + step) - reference(at - step)) / 2e-6
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


def test_equal_scores_give_the_mean_of_the_pair_products(attend):
    embeddings, kernel, bias, query = random_inputs(4, 6, 5, 3)
    pooled = attend.attention_pooling(embeddings, kernel, bias, np.zeros_like(query))
    np.testing.assert_allclose(
        pooled, interactions.bi_interaction(embeddings) / 15, rtol=1e-4, atol=1e-5
    )


def test_one_pair_has_weight_one(attend):
    inputs = random_inputs(4, 2, 5, 3)
    np.testing.assert_array_equal(attend.attention_weights(*inputs), np.ones((4, 1)))


def test_huge_scores_stay_finite(attend):
    embeddings, kernel, bias, query = random_inputs(4, 5, 3, 6)
    weights = attend.attention_weights(embeddings, kernel, bias, 1e4 * query)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(axis=1), np.ones(4), rtol=1e-5)


def test_dropout_sets_weights_to_zero_and_keeps_the_mean(attend):
    inputs = random_inputs(2, 4, 3, 5)
    plain = attend.attention_pooling(*inputs)

    def dropped(key):
        return attend.attention_pooling(*inputs, dropout_rate=0.4, key=key)

    draws = jax.vmap(dropped)(jax.random.split(jax.random.key(0), 20_000))
    error = np.abs(draws.mean(axis=0) - plain) / (draws.std(axis=0) / np.sqrt(20_000))
    assert error.max() < 5
    assert len(np.unique(draws[:, 0, 0])) == 2**6  # each of 6 pairs kept or not

    np.testing.assert_array_equal(
        dropped(jax.random.key(3)), dropped(jax.random.key(3))
    )


def test_dropout_without_a_key_is_refused(attend):
    with pytest.raises(ValueError, match=r"dropout_rate is 0\.4, so a key is needed"):
        attend.attention_pooling(*random_inputs(2, 4, 3, 5), dropout_rate=0.4)


@pytest.mark.parametrize("rate", [-0.5, 1.0, 1.5])
def test_a_dropout_rate_out_of_range_is_refused(attend, rate):
    message = rf"^expected a dropout_rate in \[0, 1\), found {rate}$"
    with pytest.raises(ValueError, match=message):
        attend.attention_pooling(
            *random_inputs(2, 4, 3, 5), dropout_rate=rate, key=jax.random.key(0)
        )


@pytest.mark.parametrize("num_fields", [0, 1])
def test_fewer_than_two_fields_are_refused(attend, num_fields):
    embeddings, *parameters = random_inputs(2, num_fields, 3, 5)
    for function in (attend.attention_pooling, attend.attention_weights):
        with pytest.raises(errors.InputError, match=f"found {num_fields}"):
            function(embeddings, *parameters)


def test_shapes_that_do_not_match_are_refused(attend):
    embeddings, kernel, bias, query = random_inputs(2, 4, 3, 5)
    with pytest.raises(ValueError, match=r"expected kernel \[3, t\]"):
        attend.attention_weights(embeddings, kernel.T, bias, query)
    with pytest.raises(ValueError, match="bias"):
        attend.attention_pooling(embeddings, kernel, bias[None], query)
    with pytest.raises(ValueError, match="bias"):
        attend.attention_pooling(embeddings, kernel, jnp.zeros(1), query)


@pytest.mark.parametrize(
    ("backend", "devices", "sides", "expected"),
    [
        ("cpu", 1, (16, 16), "blocked"),
        ("cpu", 4, (256, 256), "blocked"),
        ("gpu", 1, (64, 64), "pallas"),
        ("gpu", 1, (10, 128), "reference"),
        ("gpu", 1, (65, 16), "reference"),
        ("gpu", 2, (16, 16), "reference"),
        ("tpu", 1, (16, 16), "reference"),
    ],
)
def test_auto_goes_by_platform_and_size(backend, devices, sides, expected, monkeypatch):
    monkeypatch.setattr(attention.jax, "default_backend", lambda: backend)
    monkeypatch.setattr(attention.jax, "device_count", lambda: devices)
    assert attention.choose("auto", *sides) == expected


def test_auto_takes_the_kernel_on_the_gpus_of_a_mesh(monkeypatch):
    monkeypatch.setattr(attention.jax, "device_count", lambda: 4)
    gpu = AbstractDevice("NVIDIA H100 80GB HBM3", None, "gpu")
    sizes, auto = (4,), (AxisType.Auto,)
    for axis, expected in ((batch_split.BATCH_AXIS, "pallas"), ("model", "reference")):
        mesh = AbstractMesh(sizes, (axis,), axis_types=auto, abstract_device=gpu)
        with jax.sharding.use_abstract_mesh(mesh):
            assert attention.choose("auto", 16, 16) == expected


@pytest.fixture
def no_kernel_tried():
    """Whether the kernel can be compiled is asked anew, and not kept."""
    attention._kernel_or_other.cache_clear()
    yield
    attention._kernel_or_other.cache_clear()


def absent(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)


def refused(monkeypatch):
    def pallas_call(*args, **settings):
        raise NotImplementedError("no Triton\nhere")

    monkeypatch.setattr(pallas_attention.pl, "pallas_call", pallas_call)


@pytest.mark.usefixtures("no_kernel_tried")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (absent, "ModuleNotFoundError: "),
        (refused, "NotImplementedError: no Triton here"),
    ],
)
@pytest.mark.parametrize("implementation", ["auto", "pallas"])
def test_without_the_kernel_a_gpu_takes_the_reference_and_says_so_once(
    change, reason, implementation, monkeypatch, caplog
):
    inputs = random_inputs(2, 4, 3, 5)
    expected = attention.attention_pooling(*inputs, implementation="reference")
    change(monkeypatch)
    monkeypatch.setattr(attention.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(attention.jax, "device_count", lambda: 1)
    for _ in range(2):
        found = attention.attention_pooling(*inputs, implementation=implementation)
        np.testing.assert_array_equal(found, expected)
    (line,) = caplog.messages
    assert "'reference' takes its place" in line
    assert reason in line
    assert "\n" not in line


@pytest.mark.usefixtures("no_kernel_tried")
def test_a_cpu_computes_by_blocks_where_the_kernel_is_asked_for(caplog):
    inputs = random_inputs(2, 4, 3, 5)
    np.testing.assert_array_equal(
        attention.attention_pooling(*inputs, implementation="pallas"),
        attention.attention_pooling(*inputs, implementation="blocked"),
    )
    (line,) = caplog.messages
    assert "'blocked' takes its place" in line


def test_attention_is_imported_without_the_triton_backend():
    """A process of its own, in which nothing has imported it before."""
    program = """
import sys
sys.modules["jax.experimental.pallas.triton"] = None
from afm_jax import models
for name in models.names():
    models.make(name, vocab_size=9)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize("implementation", ["auto", "reference", "blocked", "pallas"])
def test_rows_may_be_a_symbol(implementation):
    embeddings, *network = random_inputs(5, 4, 3, 6)
    shape = (*jax.export.symbolic_shape("rows"), *embeddings.shape[1:])
    inputs = (jax.ShapeDtypeStruct(shape, np.float32), *network)
    for function in (attention.attention_pooling, attention.attention_weights):
        apply = functools.partial(function, implementation=implementation)
        exported = jax.export.export(jax.jit(apply))(*inputs)
        np.testing.assert_allclose(
            exported.call(embeddings, *network), apply(embeddings, *network), rtol=1e-5
        )


@pytest.mark.parametrize("named", ["reference", "blocked", "pallas"])
def test_a_named_implementation_is_taken(named):
    assert attention.choose(named, 16, 16) == named


def test_an_unknown_implementation_is_refused():
    with pytest.raises(
        ValueError, match=r"implementation must be one of .*, found 'fast'"
    ):
        attention.attention_pooling(*random_inputs(2, 4, 3, 5), implementation="fast")


def test_rows_may_have_any_number_of_batch_axes(attend):
    embeddings, *parameters = random_inputs(6, 5, 4, 3)
    for name in ("attention_weights", "attention_pooling"):
        function = getattr(attend, name)
        rows = function(embeddings, *parameters)
        np.testing.assert_allclose(
            function(embeddings.reshape(2, 3, 5, 4), *parameters),
            rows.reshape(2, 3, -1),
            rtol=1e-6,
        )
        np.testing.assert_allclose(
            function(embeddings[4], *parameters), rows[4], rtol=1e-6
        )
