"""FinalMLP, two MLPs with gated features and bilinear fusion (Mao et al. 2023)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from afm_jax import errors
from afm_jax.features import Features
from afm_jax.modules import dense_layer, embedding, mlp, norms, output
from afm_jax.ops import bilinear_fusion, flat


class FeatureGate(nn.Module):
    """x * 2 sigmoid(g), g = MLP(c) of the vectors c of some fields or learned itself.

    Parameters: `mlp` and `output` (Dense of d outputs, Xavier normal, bias 0), or with
    no fields `bias` float32 [d], 0. It starts near the identity.

    Attributes:
        fields: Indices of the fields whose vectors are c. () means a gate that is
            learned itself.
        hidden_dims: Width of each hidden layer of the MLP, the first layer first.
    """

    fields: tuple[int, ...]
    hidden_dims: tuple[int, ...]

    @nn.compact
    def __call__(self, *, vectors: jax.Array, inputs: jax.Array) -> jax.Array:
        """float32 [B, d] of vectors float32 [B, F, k] and inputs float32 [B, d].

        Raises:
            InputError: a field that is not one of the F.
        """
        num_fields = vectors.shape[1]
        if not all(0 <= field < num_fields for field in self.fields):
            raise errors.InputError(
                f"Gate fields are {self.fields}; expected fields from 0 to {num_fields - 1}."
            )
        size = inputs.shape[1]
        if self.fields:
            context = jnp.concatenate([vectors[:, i] for i in self.fields], axis=1)
            hidden = mlp.MLP(hidden_dims=self.hidden_dims, name="mlp")(context)
            gate = dense_layer.Dense(features=size, name="output")(hidden)
        else:
            gate = self.param("bias", nn.initializers.zeros, (size,))[None, :]
        return inputs * (2.0 * jax.nn.sigmoid(gate))


class Model(nn.Module):
    """logits = b + w_1^T o_1 + w_2^T o_2 + sum_j o_1j^T W_j o_2j.

    o_s = MLP_s(x * 2 sigmoid(Gate_s(c_s))) for the streams s = 1, 2, x = [v_1 x_1, ...,
    v_F x_F, d], d the dense columns, c_s the vectors of the fields that stream s is
    conditioned on, the user's and the item's say. Each o_s is cut into `num_heads`
    parts o_sj for the bilinear fusion.

    Departures: the fields of a gate have the vectors of the table that all share, where
    the authors' code has further tables for them, and are categorical, where it has
    numeric ones, too. Without fields the paper learns c_s, so that the gate is the same
    for all rows; here that gate itself is learned, since an MLP of a vector that starts
    at 0, as in FuxiCTR, never learns more than its last bias.

    The paper tunes widths and heads on each data set. The authors' best runs fuse
    streams of 400 and 1000 in 200 parts for Criteo and of 400 and 100 in 5 parts for
    Frappe; the defaults lie between. With few heads of wide streams W has so many
    entries that the first steps of Adam throw the logits far off: 400 by 400 in one
    part, normalized by batch, at a learning rate of 0.001, took the loss from 0.9 to 5.

    Extra parameters: M_1(n) + M_2(n) + 2 n + h h' / heads, h and h' the last widths;
    for a gate that sees c fields M_g(c k) + g n in place of n, g its last width.

    Cost of a row: as many multiplications as extra parameters.

    Attributes:
        vocab_size: Number of feature ids of all fields together, one table row each.
        slot_fields: Index of the field of each slot, rising from 0. None means that
            each slot is a field.
        embedding_dim: Width of each embedding vector, k in the formula.
        first_hidden_dims: Width of each hidden layer of the first MLP, the first layer
            first; one or more.
        second_hidden_dims: Width of each hidden layer of the second MLP, the first
            layer first; one or more.
        gate_hidden_dims: Width of each hidden layer of the MLP of a gate that sees
            fields, the first layer first.
        first_gate_fields: Indices of the fields that the first gate sees. () means a
            gate that is learned itself.
        second_gate_fields: Indices of the fields that the second gate sees. () means a
            gate that is learned itself.
        num_heads: Number of parts of the bilinear fusion. It divides the last width of
            each MLP.
        normalization: Normalization of each hidden layer: 'batch' over the rows,
            'layer' over the units, or None.
        first_dropout_rate: Chance that an output of a hidden layer of the first MLP is
            set to 0 in training.
        second_dropout_rate: Chance that an output of a hidden layer of the second MLP
            is set to 0 in training.
        init_stddev: Standard deviation of the table's initial normal distribution.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 16
    first_hidden_dims: tuple[int, ...] = (400, 400, 400)
    second_hidden_dims: tuple[int, ...] = (400,)
    gate_hidden_dims: tuple[int, ...] = (400,)
    first_gate_fields: tuple[int, ...] = ()
    second_gate_fields: tuple[int, ...] = ()
    num_heads: int = 50
    normalization: norms.Normalization = None
    first_dropout_rate: float = 0.0
    second_dropout_rate: float = 0.0
    init_stddev: float = 1e-4

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        """The logits, float32 [B]; random in training through the rng 'dropout'.

        Raises:
            InputError: `num_heads` does not divide the widths of the two streams, or
                the data have not the fields of a gate.
        """
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        inputs = flat.flat_inputs(vectors, features.dense)

        def stream(
            name: str, fields: tuple[int, ...], dims: tuple[int, ...], rate: float
        ) -> jax.Array:
            gate = FeatureGate(
                fields=fields, hidden_dims=self.gate_hidden_dims, name=f"{name}_gate"
            )
            deep = mlp.MLP(
                hidden_dims=dims,
                dropout_rate=rate,
                normalization=self.normalization,
                name=f"{name}_mlp",
            )
            return deep(gate(vectors=vectors, inputs=inputs), train=train)

        first = stream(
            "first",
            self.first_gate_fields,
            self.first_hidden_dims,
            self.first_dropout_rate,
        )
        second = stream(
            "second",
            self.second_gate_fields,
            self.second_hidden_dims,
            self.second_dropout_rate,
        )
        linear = output.Output(name="output")(jnp.concatenate([first, second], axis=1))
        return linear + self._fuse(first, second)

    def _fuse(self, first: jax.Array, second: jax.Array) -> jax.Array:
        """The bilinear part; its kernel starts as a layer of one output."""
        n, (p, q) = self.num_heads, (first.shape[1], second.shape[1])
        if p % n or q % n:
            raise errors.InputError(
                f"finalmlp's num_heads is {n}; expected a divisor of the last widths {p} and {q}."
            )
        shape = (n, p // n, q // n)
        xavier = nn.initializers.xavier_normal()
        kernel = self.param(
            "fusion", lambda key: xavier(key, (p * q // n, 1)).reshape(shape)
        )
        return bilinear_fusion.bilinear_fusion(first, second, kernel)
