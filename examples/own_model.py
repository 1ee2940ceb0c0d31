"""A model and a loss of your own: python -m examples.own_model

The programs take the same file:

    python -m experiments.train --model=examples/own_model.py:TwoTowers --set=width=16
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

import afm_jax
from afm_jax import testing
from afm_jax.data import synthetic
from afm_jax.features import Features
from afm_jax.modules import embedding, mlp
from afm_jax.ops import losses


class TwoTowers(nn.Module):
    """An MLP over the fields times an MLP over the numbers, summed.

    Attributes:
        vocab_size: Number of feature ids; taken from the data.
        slot_fields: The field of each slot; taken from the data.
        embedding_dim: Width of each embedding vector.
        width: Width of each tower.
        init_stddev: Standard deviation of the table at the start.
    """

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    embedding_dim: int = 8
    width: int = 16
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        vectors = embedding.field_vectors(self, self.embedding_dim, features)
        flat = vectors.reshape(vectors.shape[0], -1)
        one = mlp.MLP(hidden_dims=(self.width,), name="fields")(flat, train=train)
        two = mlp.MLP(hidden_dims=(self.width,), name="numbers")(
            features.dense, train=train
        )
        bias = self.param("bias", nn.initializers.zeros, ())
        return (one * two).sum(axis=-1) + bias


def smoothed(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of labels .02 and .98 in place of 0 and 1: any function is a loss."""
    return losses.sigmoid_cross_entropy(logits, jnp.clip(labels, 0.02, 0.98))


def main() -> None:
    testing.check_model(TwoTowers)  # Says which rule of the contract a model breaks.
    store = synthetic.make(rows={"train": 20_000, "validation": 4_000})
    model = afm_jax.models.make(TwoTowers, schema=store.schema, width=8)
    task = afm_jax.Task(model, loss=smoothed, learning_rate=0.01)
    run = afm_jax.fit(task, store, epochs=2, batch_size=1024)
    print(f"Validation AUC: {run.metrics['validation']['auc']:.4f}")


if __name__ == "__main__":
    main()
