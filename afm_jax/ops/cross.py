"""Cross layers: explicit feature crosses of a degree that grows by one with each layer.

x0 is the input of the first layer, x the output of the layer before. Products with a
matrix are as exact as `jax_default_matmul_precision` says, as in `modules.mlp`.
"""

import jax
import jax.numpy as jnp

# The GPU's default for float32 products, TF32, keeps 10 bits of the mantissa only.
_PRECISION = jax.lax.Precision.HIGHEST


def vector_cross(
    x0: jax.Array, x: jax.Array, weight: jax.Array, bias: jax.Array
) -> jax.Array:
    """One cross layer of DCN: x0 (x^T w) + b + x (Wang et al. 2017, eq. 3).

    Args:
        x0: float [B, d].
        x: float [B, d].
        weight: float [d], w.
        bias: float [d], b.

    Returns:
        float [B, d].
    """
    projected = jnp.dot(x, weight, precision=_PRECISION)
    return x0 * projected[:, None] + bias[None, :] + x


def matrix_cross(
    x0: jax.Array, x: jax.Array, kernel: jax.Array, bias: jax.Array
) -> jax.Array:
    """One cross layer of DCN-V2: x0 * (W x + b) + x (Wang et al. 2021, eq. 1).

    With all columns of W^T equal and b = 0 this is `vector_cross` without its bias.

    Args:
        x0: float [B, d].
        x: float [B, d].
        kernel: float [d, d], W^T.
        bias: float [d], b.

    Returns:
        float [B, d].
    """
    return x0 * (jnp.dot(x, kernel) + bias[None, :]) + x


def mixture_cross(
    x0: jax.Array,
    x: jax.Array,
    gate: jax.Array,
    down: jax.Array,
    core: jax.Array,
    up: jax.Array,
    bias: jax.Array,
) -> jax.Array:
    """One cross layer of DCN-V2 as a mixture of n low-rank experts.

    x0 * sum_i g_i (U_i tanh(C_i tanh(V_i^T x)) + b) + x with g = softmax(G^T x): the
    mixture of low-rank experts with a nonlinearity in the projected space (Wang et al.
    2021, section 3.5). The weights g have sum 1, so that b counts once.

    Args:
        x0: float [B, d].
        x: float [B, d].
        gate: float [d, n], G.
        down: float [n, d, r], V_i.
        core: float [n, r, r], C_i^T.
        up: float [n, r, d], U_i^T.
        bias: float [d], b.

    Returns:
        float [B, d].
    """
    weights = jax.nn.softmax(jnp.dot(x, gate), axis=-1)
    hidden = jnp.tanh(jnp.einsum("bd,ndr->bnr", x, down))
    hidden = jnp.tanh(jnp.einsum("bnr,nrs->bns", hidden, core))
    # Weighted before they are expanded: no [B, n, d] array.
    mixed = jnp.einsum("bns,nsd->bd", weights[..., None] * hidden, up)
    return x0 * (mixed + bias[None, :]) + x


def gated_cross(
    x0: jax.Array,
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array,
    gate: jax.Array,
) -> jax.Array:
    """One cross layer of GDCN: x0 * (W x + b) * sigmoid(W_g x) + x (Wang et al. 2023).

    W_g = 0 halves what `matrix_cross` adds to x.

    Args:
        x0: float [B, d].
        x: float [B, d].
        kernel: float [d, d], W^T.
        bias: float [d], b.
        gate: float [d, d], W_g^T.

    Returns:
        float [B, d].
    """
    crossed = x0 * (jnp.dot(x, kernel) + bias[None, :])
    return crossed * jax.nn.sigmoid(jnp.dot(x, gate)) + x
