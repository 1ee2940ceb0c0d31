import jax
import numpy as np
import pytest
from flax import linen as nn

from afm_jax import model_rules, models
from afm_jax.errors import InputError
from afm_jax.features import Features
from afm_jax.modules import embedding

FEATURES = Features(np.zeros((5, 2), np.int32), None, np.zeros((5, 1), np.float32))


class Own(nn.Module):
    """A first model as one writes it from habit."""

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    init_stddev: float = 0.1
    column: bool = False
    habit: bool = False

    @nn.compact
    def __call__(self, features: Features, *, train: bool = False) -> jax.Array:
        if self.habit:
            vectors = nn.Embed(self.vocab_size, 4, name="emb")(features.ids)
        else:
            vectors = embedding.field_vectors(self, 4, features)
        logits = nn.Dense(1, name="out")(vectors.reshape(len(vectors), -1))
        return logits if self.column else logits[:, 0]


def check_logits(model):
    variables = jax.eval_shape(model.init, jax.random.key(0), FEATURES)
    model_rules.check_logits(model, variables, FEATURES)


def test_a_model_over_the_vocabulary_passes():
    for model in (Own(vocab_size=9), models.make("fm", vocab_size=9)):
        check_logits(model)
        model_rules.check_tables(model, FEATURES)


def test_logits_of_a_column_are_told():
    with pytest.raises(InputError, match=r"float32 \[5, 1\] for 5 rows; .*one number"):
        check_logits(Own(vocab_size=9, column=True))


def test_a_table_of_another_name_is_told_what_makes_one():
    told = r"params/emb/embedding is float32 \[9, 4\] .*embedding.field_vectors makes"
    with pytest.raises(InputError, match=told):
        model_rules.check_tables(Own(vocab_size=9, habit=True), FEATURES)
