"""Deep learning recommendation model, DLRM (Naumov et al. 2019)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import embedding, mlp, norms, output
from afm_jax.ops import products


class Model(nn.Module):
    """logits = p^T MLP_top([z, <v_i, v_j> for i < j]) + b, the vectors z among the v.

    z = MLP_bottom(d), the dense columns d as one more vector of k. Without dense
    columns there is no z and no bottom MLP, and the top MLP sees products alone.

    The widths are those of the authors' benchmark of Criteo, as is k = 16; relu follows
    each layer of the bottom MLP, its last of k too, as in their code. Departures: the
    table starts normal, where theirs are uniform within +- 1 / sqrt(rows);
    `init_stddev=0.01` is their deviation at 3,300 rows. Biases start at 0, theirs are
    normal; a multi-valued field has the mean of its vectors, theirs the sum.

    Extra parameters: M(Q + k) + M'(D), Q = F (F + 1) / 2, M' of the bottom MLP.

    Cost of a row: F² k + M(Q + k) + M'(D).

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        bottom_hidden_dims: Width of each hidden layer of the bottom MLP, the first
            layer first. One more layer of width k follows them.
        top_hidden_dims: Width of each hidden layer of the top MLP, the first layer
            first.
        normalization: Normalization of each hidden layer of both MLPs: 'batch' over the
            rows, 'layer' over the units, or None.
        dropout_rate: Chance that an output of a hidden layer of the top MLP is set to 0
            in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    bottom_hidden_dims: tuple[int, ...] = (512, 256, 64)
    top_hidden_dims: tuple[int, ...] = (512, 256)
    normalization: norms.Normalization = None
    dropout_rate: float = 0.0
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: one field and no dense columns, so that there is no pair.
        """
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        if features.dense.shape[1] > 0:
            dense_vector = mlp.MLP(
                hidden_dims=(*self.bottom_hidden_dims, self.embedding_dim),
                normalization=self.normalization,
                name="bottom_mlp",
            )(jnp.asarray(features.dense), train=train)
            vectors = jnp.concatenate([dense_vector[:, None], vectors], axis=1)
            inputs = jnp.concatenate(
                [dense_vector, products.inner_products(vectors)], axis=1
            )
        else:
            inputs = products.inner_products(vectors)
        hidden = mlp.MLP(
            hidden_dims=self.top_hidden_dims,
            dropout_rate=self.dropout_rate,
            normalization=self.normalization,
            name="top_mlp",
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
