"""eXtreme deep factorization machine (Lian et al. 2018)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax import errors
from afm_jax.features import Features
from afm_jax.modules import embedding, first_order, mlp, norms, output
from afm_jax.ops import cin, flat


class Model(nn.Module):
    """logits = w_0 + sum_i w_i x_i + p^T [c^1, ..., c^T, MLP([v, d])].

    c^t_m = sum over the k dimensions of X^t_m, X^t_m = sum_{f,h} W^t_{fhm} (X^{t-1}_h *
    v_f), X^0 = v the vectors of the fields, d the dense columns: products of two fields
    at t = 1, of t + 1 fields at t. Without `cin_dims` this is Wide&Deep with wide
    weights of single features, without `hidden_dims` it has no deep part. Departure:
    the paper has no dense columns.

    The layers X^t have no bias and no activation, as in the paper's eq. 6. Other code
    differs: FuxiCTR adds a bias to every X^t_m, and so can compute other functions.

    Extra parameters: F sum_t H_{t-1} H_t + M(n), H_t = cin_dims, H_0 = F.

    Cost of a row: F k sum_t H_{t-1} H_t + M(n).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        cin_dims: Number of vectors of each layer X^t of the compressed interaction
            network, the first layer first. () means none.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first. ()
            means no MLP.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer is set to 0 in training.
        first_order_inputs: What has first-order weights: 'fields', 'dense' (the dense
            columns), or 'all' (both).
        init_stddev: Standard deviation of the tables' initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    cin_dims: tuple[int, ...] = (200, 200, 200)
    hidden_dims: tuple[int, ...] = (400, 400)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    first_order_inputs: first_order.Inputs = "all"
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: neither `cin_dims` nor `hidden_dims`.
        """
        logits = first_order.first_order_logits(self, features)
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        parts = []
        layer = vectors
        # Xavier normal of the F H products that a vector of the next layer sums up.
        xavier = nn.initializers.xavier_normal(in_axis=(0, 1), out_axis=2)
        for i, width in enumerate(self.cin_dims):
            shape = (vectors.shape[1], layer.shape[1], width)
            kernel = self.param(f"cin_{i}", xavier, shape)
            layer = cin.compressed_interaction(layer, vectors, kernel)
            parts.append(layer.sum(axis=2))
        if self.hidden_dims:
            parts.append(
                mlp.MLP(
                    hidden_dims=self.hidden_dims,
                    dropout_rate=self.dropout_rate,
                    normalization=self.normalization,
                    name="mlp",
                )(flat.flat_inputs(vectors, features.dense), train=train)
            )
        if not parts:
            raise errors.InputError(
                "xdeepfm needs cin_dims, hidden_dims or both, found neither; choose lr for the first-order part alone."
            )
        projected = output.Output(use_bias=False, name="output")(
            jnp.concatenate(parts, axis=1)
        )
        return logits + projected
