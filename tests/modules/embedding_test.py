import jax
import numpy as np
import pytest
import references
import samples

from afm_jax.modules import embedding


@pytest.mark.parametrize("kind", samples.KINDS)
def test_equals_the_double_loop(kind):
    features = samples.random_features(kind)
    module = embedding.FieldEmbedding(
        **samples.data_hyperparameters(kind), embedding_dim=3
    )
    variables = samples.random_variables(module, features)
    assert list(variables["params"]) == ["table"]
    np.testing.assert_allclose(
        module.apply(variables, features),
        references.embed_fields(
            variables["params"]["table"],
            features.ids,
            features.values,
            samples.slot_fields(kind),
        ),
        rtol=1e-5,
        atol=1e-6,
    )


def test_table_starts_normal_with_the_given_deviation():
    features = samples.random_features("plain")
    module = embedding.FieldEmbedding(20_000, 5, init_stddev=0.03)
    table = module.init(jax.random.key(0), features)["params"]["table"]
    assert table.shape == (20_000, 5)
    # The standard error of the deviation of 100,000 draws is 0.2%.
    np.testing.assert_allclose(table.std(), 0.03, rtol=0.01)
    np.testing.assert_allclose(table.mean(), 0, atol=5e-4)
