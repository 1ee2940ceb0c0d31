import re

import jax.numpy as jnp
import pytest
from flax import linen as nn

from afm_jax import testing
from afm_jax.errors import InputError
from afm_jax.modules import dense_layer, embedding, first_order, output


class Good(nn.Module):
    """Keeps every rule; the models below break one each."""

    vocab_size: int
    slot_fields: tuple[int, ...] | None = None
    init_stddev: float = 0.1
    dropout_rate: float = 0.0

    @nn.compact
    def __call__(self, features, *, train=False):
        vectors = embedding.field_vectors(self, 3, features)
        hidden = self.hidden(vectors.sum(axis=1), train)
        return self.logits(output.Output(name="output")(hidden), features)

    def hidden(self, inputs, train):
        hidden = dense_layer.Dense(features=4, name="hidden")(inputs)
        return nn.Dropout(self.dropout_rate, deterministic=not train, name="dropout")(
            hidden
        )

    def logits(self, logits, features):
        return logits


def test_a_model_that_keeps_the_contract_passes():
    testing.check_model(Good)


def test_what_is_no_class_of_a_model_is_told():
    for wrong in (Good(vocab_size=3), "fm", int):
        with pytest.raises(InputError, match="takes the class of a model, such as"):
            testing.check_model(wrong)


class NoStddev(nn.Module):
    vocab_size: int
    slot_fields: tuple[int, ...] | None = None

    @nn.compact
    def __call__(self, features, *, train=False):
        return embedding.field_vectors(self, 3, features).sum(axis=(1, 2))


class NoFirstOrderInputs(NoStddev):
    init_stddev: float = 0.1

    @nn.compact
    def __call__(self, features, *, train=False):
        return first_order.first_order_logits(self, features)


class NoSlotFields(nn.Module):
    vocab_size: int

    def __call__(self, features, *, train=False):
        return features.dense[:, 0]


class NoTrain(Good):
    def __call__(self, features):
        return features.dense[:, 0]


class OneColumn(Good):
    def logits(self, logits, features):
        return logits[:, None]


class RandomWithoutTrain(Good):
    def hidden(self, inputs, train):
        return nn.Dropout(0.5, deterministic=False, name="dropout")(inputs)


class NoName(Good):
    def hidden(self, inputs, train):
        return nn.Dense(4)(inputs)


class HalfPrecision(Good):
    def hidden(self, inputs, train):
        return nn.Dense(4, param_dtype=jnp.bfloat16, name="hidden")(inputs)


class TableElsewhere(Good):
    def logits(self, logits, features):
        table = self.param("table", nn.initializers.ones, (self.vocab_size,))
        return logits + table[features.ids].sum(axis=1)


class Width(Good):
    def hidden(self, inputs, train):
        return nn.Dense(self.vocab_size, name="hidden")(inputs)


class OneRowMore(Good):
    @nn.compact
    def __call__(self, features, *, train=False):
        larger = self.clone(vocab_size=8, parent=None)
        return embedding.field_vectors(larger, 3, features).sum(axis=(1, 2))


class WholeTable(Good):
    def logits(self, logits, features):
        table = self.variables["params"]["embedding"]["table"]
        return logits + jnp.square(table).mean()


class WholeTableALittle(Good):
    def logits(self, logits, features):
        table = self.variables["params"]["embedding"]["table"]
        return logits + 1e-6 * jnp.square(table).mean()


class WidthOfTheTable(Good):
    @nn.compact
    def __call__(self, features, *, train=False):
        width = 1 + self.vocab_size // 16
        return embedding.field_vectors(self, width, features).sum(axis=(1, 2))


class WholeBatch(Good):
    def logits(self, logits, features):
        return logits - logits.mean()


class Length(Good):
    def logits(self, logits, features):
        return logits + jnp.zeros(len(features.ids))


class Unused(Good):
    def logits(self, logits, features):
        self.param("unused", nn.initializers.ones, (2,))
        return logits


class NeverStarts(Good):
    def logits(self, logits, features):
        zero = nn.initializers.zeros
        first, second = (self.param(name, zero, (2,)) for name in ("first", "second"))
        return logits + first @ second


class NoDropout(Good):
    def hidden(self, inputs, train):
        return dense_layer.Dense(features=4, name="hidden")(inputs)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (NoSlotFields, "NoSlotFields has no field 'slot_fields'; a model has"),
        (
            NoStddev,
            "NoStddev has no attribute 'init_stddev', which its tables need; add",
        ),
        (
            NoFirstOrderInputs,
            "NoFirstOrderInputs has no attribute 'first_order_inputs'",
        ),
        (NoTrain, "NoTrain.__call__ has no option train=False; write def"),
        (OneColumn, "OneColumn's logits are float32 [6, 1] for 6 rows; expected"),
        (RandomWithoutTrain, "RandomWithoutTrain needs a random key without train"),
        (NoName, "NoName's submodule 'Dense_0' has no name; give it one"),
        (HalfPrecision, "HalfPrecision's params/hidden/bias is bfloat16 [4]; expected"),
        (TableElsewhere, "TableElsewhere has a table 'params/table'; expected one of"),
        (Width, "Width's params/hidden/bias is float32 [16] and depends on vocab_size"),
        (OneRowMore, "OneRowMore's params/embedding/table is float32 [8, 3]; expected"),
        (WholeTable, "WholeTable has other logits over the table rows of a batch"),
        (
            WholeTableALittle,
            "WholeTableALittle's params/embedding/table receives a gradient in table rows",
        ),
        (
            WidthOfTheTable,
            "WidthOfTheTable's params/embedding/table is float32 [16, 2], and [32, 3] over 32",
        ),
        (WholeBatch, "WholeBatch's logit of a row depends on the other rows"),
        (Length, "Length cannot be exported for any number of rows ("),
        (Unused, "Unused's params/unused receives a gradient of 0; take it away"),
        (NeverStarts, "NeverStarts's params/first never learns: from the start"),
        (NoDropout, "NoDropout's dropout_rate changes nothing with train=True"),
    ],
)
def test_the_rule_that_a_model_breaks_is_named_in_one_line(model, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}") as raised:
        testing.check_model(model)
    assert "\n" not in str(raised.value)
