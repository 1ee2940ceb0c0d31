"""Attention pooling: time and temporary memory of its implementations."""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from afm_jax.ops import attention
from experiments.benchmark import timing

_log = logging.getLogger(__name__)


def run(
    *,
    implementations: Sequence[attention.Implementation],
    batch_sizes: Sequence[int] = (4096,),
    nums_fields: Sequence[int] = (26, 39),
    embedding_dims: Sequence[int] = (16,),
    attention_dim: int | None = None,
    device: str | None = None,
    turns: timing.Turns = timing.TURNS,
) -> list[dict[str, Any]]:
    """Times the pooled vectors, and with them all gradients of a loss of theirs.

    All implementations at one size take turns.

    Args:
        implementations: as `attention_pooling` takes them; ratios are to the first.
        batch_sizes: B.
        nums_fields: F.
        embedding_dims: k.
        attention_dim: t; k if None.
        device: 'cpu' or 'gpu'; jax's default if None.
        turns: how often the cases take turns, and how long a turn is.

    Returns:
        For each case 'ms'; 'processor_ms', of all threads together; 'of_first', the time over that of the first implementation;
        'temp_mb', what the compiled program allocates beside inputs and results;
        'gflops', `flops` over the time, in 10^9 a second.
    """
    place = jax.devices(device)[0]
    cases = []
    sizes = itertools.product(batch_sizes, nums_fields, embedding_dims)
    for batch_size, num_fields, k in sizes:
        t = attention_dim or k
        _log.info("B %d, F %d, k %d, t %d", batch_size, num_fields, k, t)
        for what in ("value", "gradient"):
            arrays = jax.device_put(_arrays(batch_size, num_fields, k, t), place)
            compiled = {
                name: jax.jit(_function(name, what)).lower(*arrays).compile()
                for name in implementations
            }
            times = timing.interleaved(
                {name: _work(each, arrays) for name, each in compiled.items()},
                turns,
            )
            count = flops(batch_size, num_fields, k, t, gradient=what == "gradient")
            cases += [
                {
                    "what": what,
                    "batch_size": batch_size,
                    "fields": num_fields,
                    "k": k,
                    "t": t,
                    "implementation": name,
                    "ms": timing.spread(1e3 * times[name].seconds),
                    "processor_ms": timing.spread(1e3 * times[name].processor_seconds),
                    "of_first": timing.spread(
                        times[name].seconds / times[implementations[0]].seconds
                    ),
                    "temp_mb": _temporary_mb(compiled[name]),
                    "gflops": float(count / np.median(times[name].seconds) / 1e9),
                }
                for name in implementations
            ]
    return cases


def flops(
    batch_size: int, num_fields: int, k: int, t: int, *, gradient: bool = False
) -> int:
    """Sums and products that the formula needs, each counted once.

    A pair takes k products, 2 k t for W p, 3 t for bias, relu and h, and 2 k to pool. A
    gradient needs the value, twice the matrix product again (for W and for p), and
    about twice the rest.
    """
    pairs = batch_size * num_fields * (num_fields - 1) // 2
    value = pairs * (2 * k * t + 3 * k + 3 * t)
    return 3 * value if gradient else value


def _arrays(
    batch_size: int, num_fields: int, k: int, t: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((batch_size, num_fields, k), (k, t), (t,), (t,))
    embeddings, kernel, bias, query = (
        rng.standard_normal(shape, np.float32) for shape in shapes
    )
    return embeddings, kernel / np.sqrt(np.float32(k)), bias, query


def _temporary_mb(compiled: jax.stages.Compiled) -> float | None:
    """Memory that a program takes beside its arguments and results, in MiB, if it says."""
    analysis = compiled.memory_analysis()
    return None if analysis is None else analysis.temp_size_in_bytes / 2**20


def _function(
    implementation: attention.Implementation, what: str
) -> Callable[..., Any]:
    def value(*arrays: jax.Array) -> jax.Array:
        return attention.attention_pooling(*arrays, implementation=implementation)

    def loss(*arrays: jax.Array) -> jax.Array:
        return jnp.sum(value(*arrays) ** 2)

    if what == "value":
        return value
    return jax.value_and_grad(loss, argnums=(0, 1, 2, 3))


def _work(compiled: Callable[..., Any], arrays: tuple[jax.Array, ...]) -> timing.Work:
    def work(count: int) -> None:
        result = None
        for _ in range(count):
            result = compiled(*arrays)
        jax.block_until_ready(result)

    return work
