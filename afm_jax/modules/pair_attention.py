"""What attention makes of each pair of fields, in any model that pools by it."""

from typing import Any, NamedTuple

import jax
from flax import linen as nn

from afm_jax.errors import InputError
from afm_jax.features import Features
from afm_jax.modules.attention import AttentionPooling
from afm_jax.ops import exact, interactions


class PairAttention(NamedTuple):
    """Two numbers for each row and pair, pairs in the order of `pair_indices`.

    Attributes:
        weights: float32 [B, F (F - 1) / 2], the attention a_ij, of sum 1 over the pairs.
        contributions: float32 [B, F (F - 1) / 2], s a_ij g^T (v_i * v_j) x_i x_j, s the
            scale of the pooled vector and g the gradient of the logit to that vector.
            In AFM this is what the pair adds to the logit; under a deep part it is so
            to first order.
    """

    weights: jax.Array
    contributions: jax.Array


def pair_attention(
    model: nn.Module, variables: Any, features: Features
) -> PairAttention:
    """The attention weights and contributions of the pairs, without dropout.

    Args:
        model: a model with one `AttentionPooling`.
        variables: its variables.
        features: of B rows.

    Raises:
        InputError: the model has no attention pooling.
    """
    found: list[tuple[jax.Array, jax.Array, jax.Array]] = []

    def observe(method, arguments, options, context):
        output = method(*arguments, **options)
        if _is_pooling(context):
            (weights,) = context.module.get_variable("intermediates", "weights")
            scale = context.module.scale(arguments[0].shape[-2])
            products = scale * interactions.pair_products(arguments[0])
            found.append((weights, products, output))
        return output

    with nn.intercept_methods(observe):
        model.apply(variables, features, mutable=["intermediates"])
    if not found:
        raise InputError(
            f"{model.__class__.__module__.rpartition('.')[2]} has no attention pooling."
        )
    weights, products, pooled = found[0]

    def sum_of_logits(pooled: jax.Array) -> jax.Array:
        def replace(method, arguments, options, context):
            return pooled if _is_pooling(context) else method(*arguments, **options)

        with nn.intercept_methods(replace):
            logits: Any = model.apply(variables, features)
        return logits.sum()

    # Rows do not depend on one another, so the gradient of the sum is that of each.
    gradient = jax.grad(sum_of_logits)(pooled)
    effects = exact.einsum("bpk,bk->bp", products, gradient)
    return PairAttention(weights, weights * effects)


def _is_pooling(context: nn.module.InterceptorContext) -> bool:
    is_call = context.method_name == "__call__"
    return is_call and isinstance(context.module, AttentionPooling)
