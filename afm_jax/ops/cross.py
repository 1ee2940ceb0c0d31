"""Cross layers: explicit feature crosses of a degree that grows by one with each layer.

x0 is the input of the first layer, x the output of the layer before. Products with a
[d, d] matrix are those of `ops.matmul`, those of experts as exact as
`jax_default_matmul_precision` says.
"""

import jax
import jax.numpy as jnp

from afm_jax.ops import exact
from afm_jax.ops.matmul import matmul


def vector_crosses(x0: jax.Array, weights: jax.Array, biases: jax.Array) -> jax.Array:
    """The L cross layers of DCN: x_{l+1} = x0 (x_l^T w_l) + b_l + x_l.

    Wang et al. 2017, eq. 3. Every x_l is a_l x0 + c_l with one number a_l for each row
    and one vector c_l for all (Lian et al. 2018, theorem 2.1, shows it without biases):
    a_{l+1} = a_l + a_l (x0^T w_l) + c_l^T w_l and c_{l+1} = c_l + b_l. So the layers
    cost one product of x0 with all w_l and no [B, d] array but the last.

    Args:
        x0: float [B, d].
        weights: float [L, d], w_l.
        biases: float [L, d], b_l.

    Returns:
        x_L, float [B, d].

    Raises:
        ValueError: shapes that do not match.
    """
    expected = (len(weights), x0.shape[-1])
    _check_shapes((weights, expected), (biases, expected))
    projected = exact.dot(x0, weights.T)
    scale, shift = jnp.ones_like(x0[:, 0]), jnp.zeros_like(x0[0])
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        constant = exact.dot(shift, weight)
        scale = scale + scale * projected[:, layer] + constant
        shift = shift + bias
    return x0 * scale[:, None] + shift[None, :]


def matrix_cross(
    x0: jax.Array, x: jax.Array, kernel: jax.Array, bias: jax.Array
) -> jax.Array:
    """One cross layer of DCN-V2: x0 * (W x + b) + x (Wang et al. 2021, eq. 1).

    With all columns of W^T equal and b = 0 this is a layer of `vector_crosses`.

    Args:
        x0: float [B, d].
        x: float [B, d].
        kernel: float [d, d], W^T.
        bias: float [d], b.

    Returns:
        float [B, d].

    Raises:
        ValueError: shapes that do not match.
    """
    d = x.shape[-1]
    _check_shapes((x0, x.shape), (kernel, (d, d)), (bias, (d,)))
    return x0 * (matmul(x, kernel) + bias[None, :]) + x


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

    Raises:
        ValueError: shapes that do not match.
    """
    d, (n, r) = x.shape[-1], core.shape[:2]
    _check_shapes(
        (x0, x.shape),
        (gate, (d, n)),
        (down, (n, d, r)),
        (core, (n, r, r)),
        (up, (n, r, d)),
        (bias, (d,)),
    )
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

    Raises:
        ValueError: shapes that do not match.
    """
    d = x.shape[-1]
    _check_shapes((x0, x.shape), (kernel, (d, d)), (bias, (d,)), (gate, (d, d)))
    crossed = x0 * (matmul(x, kernel) + bias[None, :])
    return crossed * jax.nn.sigmoid(matmul(x, gate)) + x


def _check_shapes(*arrays: tuple[jax.Array, tuple[int, ...]]) -> None:
    found = tuple(array.shape for array, _ in arrays)
    expected = tuple(shape for _, shape in arrays)
    if found != expected:
        raise ValueError(f"expected arrays of shapes {expected}, found {found}")
