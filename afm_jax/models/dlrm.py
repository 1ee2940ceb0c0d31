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

    Attributes:
        vocab_size: feature ids of all fields together.
        slot_fields: the field of each slot; None means one slot per field.
        embedding_dim: k.
        bottom_hidden_dims: width of each hidden layer of the bottom MLP, before k.
        top_hidden_dims: width of each hidden layer of the top MLP.
        normalization: 'batch', 'layer' or None, in both MLPs; see `modules.norms`.
        dropout_rate: of the outputs of the hidden layers of the top MLP.
        init_stddev: standard deviation of the initial table.
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
                (*self.bottom_hidden_dims, self.embedding_dim),
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
            self.top_hidden_dims, self.dropout_rate, self.normalization, name="top_mlp"
        )(inputs, train=train)
        return output.Output(name="output")(hidden)
