import jax
import numpy as np
import pytest
import references
import samples
from flax import linen as nn

from afm_jax import models
from afm_jax.errors import InputError
from afm_jax.modules import dense_tower

WITH_TOWER = ("afm", "afm_deep", "nfm")
RNG = np.random.default_rng(0)
VECTOR = RNG.normal(size=(6, 5)).astype(np.float32)


class Owner(nn.Module):
    """A model that is nothing but its last vector."""

    vocab_size: int
    slot_fields: tuple[int, ...] | None
    first_order_inputs: str
    init_stddev: float = 0.01

    @nn.compact
    def __call__(self, features):
        return dense_tower.logits_of(self, features, VECTOR)


def make(kind, inputs):
    features = samples.random_features(kind)
    model = Owner(**samples.data_hyperparameters(kind), first_order_inputs=inputs)
    return model, samples.random_variables(model, features)["params"], features


@pytest.mark.parametrize("kind", samples.KINDS)
def test_the_tower_is_added_before_the_output_layer(kind):
    model, params, features = make(kind, "dense_tower")
    tower = {"bias": (5,)} | ({"kernel": (3, 5)} if kind == "full" else {})
    assert jax.tree.map(np.shape, params) == {
        "dense_tower": tower,
        "output": {"kernel": (5, 1), "bias": (1,)},
    }
    kernel = params["dense_tower"].get("kernel", np.zeros((0, 5)))
    vector = VECTOR + features.dense @ kernel + params["dense_tower"]["bias"]
    np.testing.assert_allclose(
        model.apply({"params": params}, features),
        references.linear(params["output"], vector)[:, 0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_the_tower_is_the_function_that_a_first_order_part_of_the_dense_columns_is():
    tower, params, features = make("full", "dense_tower")
    scalar, _, _ = make("full", "dense")
    p = params["output"]["kernel"]
    first_order = {
        "kernel": params["dense_tower"]["kernel"] @ p,
        "bias": params["dense_tower"]["bias"] @ p + params["output"]["bias"],
    }
    same = {"first_order": first_order, "output": {"kernel": p}}
    np.testing.assert_allclose(
        tower.apply({"params": params}, features),
        scalar.apply({"params": same}, features),
        rtol=1e-5,
        atol=1e-5,
    )


def test_starts_xavier_normal_with_zero_bias():
    params = dense_tower.DenseTower(500).init(
        jax.random.key(0), np.zeros((1, 300), np.float32)
    )["params"]
    np.testing.assert_allclose(params["kernel"].std(), np.sqrt(2 / 800), rtol=0.01)
    np.testing.assert_array_equal(params["bias"], np.zeros(500))


@pytest.mark.parametrize("name", WITH_TOWER)
def test_a_model_with_the_tower_has_no_first_order_weight(name):
    model = models.make(name, vocab_size=30, first_order_inputs="dense_tower")
    features = samples.random_features("full")
    params = jax.eval_shape(model.init, jax.random.key(0), features)["params"]
    assert "first_order" not in params
    assert params["dense_tower"]["kernel"].shape == (
        3,
        *params["dense_tower"]["bias"].shape,
    )
    assert params["output"]["bias"].shape == (1,)


@pytest.mark.parametrize("name", models.names())
def test_other_models_refuse_the_tower_in_one_line(name):
    fields = vars(models.make(name, vocab_size=1))
    if "first_order_inputs" in fields and name not in WITH_TOWER:
        with pytest.raises(InputError, match="dense_tower") as error:
            models.make(name, vocab_size=1, first_order_inputs="dense_tower")
        assert "\n" not in str(error.value)
