"""Feature interaction graph neural network (Li et al. 2019)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax.features import Features
from afm_jax.modules import dense_embedding, embedding
from afm_jax.ops import graph


class GraphSteps(nn.Module):
    """Steps of a gated graph network over the complete graph of the fields.

    h <- GRU(h, a) + e, a_i = W_in^i sum_j alpha_ij W_out^j h_j + b; h is e at first.

    Parameters: `edge` float32 [2k, 1], of alpha (see `ops.graph`, receiver before
    sender); `outgoing`, `incoming` float32 [F, k, k], W_out and W_in transposed, all
    Xavier normal; `bias` float32 [k], b, 0; and those of `gru`. All steps share them.

    Attributes:
        num_steps: Number of times that the fields exchange their states.
    """

    num_steps: int

    @nn.compact
    def __call__(self, fields: jax.Array) -> jax.Array:
        """The last states h, float32 [B, F, k], of fields e, float32 [B, F, k]."""
        num_fields, k = fields.shape[1:]
        edge = self.param("edge", nn.initializers.xavier_normal(), (2 * k, 1))[:, 0]
        matrices = nn.initializers.xavier_normal(in_axis=1, out_axis=2, batch_axis=0)
        outgoing, incoming = (
            self.param(name, matrices, (num_fields, k, k))
            for name in ("outgoing", "incoming")
        )
        bias = self.param("bias", nn.initializers.zeros, (k,))
        gru = nn.GRUCell(features=k, name="gru")
        weights = graph.edge_weights(fields, edge[:k], edge[k:])
        states = fields
        for _ in range(self.num_steps):
            received = graph.neighbour_sums(weights, states, outgoing, incoming)
            received = received + jnp.broadcast_to(bias, received.shape)
            states = gru(states, received)[0] + fields
        return states


class Model(nn.Module):
    """logits = sum_i sigmoid(W [h_1, ..., h_M] + c)_i (<p, h_i> + b).

    h are the states of `GraphSteps` over the vectors of the fields and d_j u_j of the
    dense columns d, M of them in all, the nodes of the graph.

    Departures: the paper puts a layer of self-attention before the graph, of which
    `models.autoint` has three; it is left out, as in FuxiCTR. The weight of a node in
    the sum sees the states of all nodes, as in FuxiCTR and earlier forms of the
    authors' code, where their later code lets it see its own alone; p and W have
    biases, and b is not behind a leaky relu as there. All steps share their matrices,
    as in the authors' code; FuxiCTR's published runs have some for each step. The edge
    weights of a node have sum 1 without the node itself.

    Each of the M matrices of W_in and of W_out starts Xavier normal by itself, with
    variance 1 / k. FuxiCTR starts them as one array [M, k, k], of which PyTorch counts M
    as outputs and k^2 as inputs: the variance is 2 / (k^2 + M k) there, (k + M) / 2 times
    smaller.
    The GRU starts as in Flax: LeCun normal from the input, orthogonal from the state,
    biases 0. PyTorch draws all of these from U(-1 / sqrt(k), 1 / sqrt(k)).

    Extra parameters: 2 m k² + 6 k² + 2 k + m² k + D k, m = F + D.

    Cost of a row: S (8 m k² + m² k) + m² k, S = num_steps.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        num_steps: Number of times that the fields exchange their states.
        init_stddev: Standard deviation of the initial normal distribution of the table
            and of the vectors u.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    num_steps: int = 3
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B].

        Raises:
            InputError: fewer than two fields and dense columns.
        """
        del train  # nothing here is random
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        dense_vectors = dense_embedding.DenseEmbedding(
            embedding_dim=self.embedding_dim,
            init_stddev=self.init_stddev,
            name="dense_embedding",
        )(features.dense)
        fields = jnp.concatenate([vectors, dense_vectors], axis=1)
        states = GraphSteps(num_steps=self.num_steps, name="graph")(fields)
        scores, attention = (
            nn.Dense(
                features=width,
                kernel_init=nn.initializers.xavier_normal(),
                precision=jax.lax.Precision.HIGHEST,
                name=name,
            )
            for name, width in (("score", 1), ("attention", fields.shape[1]))
        )
        weights = nn.sigmoid(attention(states.reshape(states.shape[0], -1)))
        return (weights * scores(states)[:, :, 0]).sum(axis=1)
